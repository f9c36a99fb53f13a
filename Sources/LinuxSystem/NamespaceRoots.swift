import FreezeCore
import SystemPackage

/// The directories that mount points are looked up from, each opened when it is first needed and closed with the object.
final class NamespaceRoots {
    private let root: FilePath
    private let tables: MountTables?
    private var descriptors: [MountNamespace?: FileDescriptor] = [:]

    /// - Parameter root: the one for our own namespace.
    init(_ root: FilePath, _ tables: MountTables?) {
        self.root = root
        self.tables = tables
    }

    deinit {
        for descriptor in descriptors.values { try? descriptor.close() }
    }

    /// - Parameter namespace: nil for our own.
    func descriptor(for namespace: MountNamespace?) throws(LinuxSystemError) -> FileDescriptor {
        if let descriptor = descriptors[namespace] { return descriptor }
        let descriptor = try open(namespace)
        descriptors[namespace] = descriptor
        return descriptor
    }

    private func open(_ namespace: MountNamespace?) throws(LinuxSystemError) -> FileDescriptor {
        if let namespace, let tables { return try tables.openRoot(of: namespace) }
        guard namespace == nil else {
            // The path would be looked up in the wrong namespace.
            throw LinuxSystemError(
                .open, subject: "the root of another mount namespace", problem: "its mount table is not open")
        }
        do {
            // Its own name is ours, and may be one of /proc's links.
            return try FileDescriptor.open(root, .readOnly, options: [.directory, .closeOnExec])
        } catch {
            throw LinuxSystemError(
                .open, subject: root.escaped, problem: "cannot be opened", underlyingError: error as? Errno)
        }
    }
}
