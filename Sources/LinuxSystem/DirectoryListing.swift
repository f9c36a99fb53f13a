import Glibc
import SystemPackage

/// The names in a directory.
enum DirectoryListing {
    /// - Returns: empty if there is no such directory: in sysfs that means there is nothing of that kind.
    static func names(in path: FilePath) -> [String] {
        guard let stream = path.withPlatformString({ opendir($0) }) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: pointer.pointee)) {
                    String(cString: $0)
                }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }
}
