import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// The processes that a /proc shows. One that ends meanwhile has nothing open and no name.
struct ProcessTable {
    private let proc: FilePath

    init(_ proc: FilePath) {
        self.proc = proc
    }

    /// By process id.
    var processes: [Process] {
        ((try? directoryEntries(proc)) ?? []).compactMap { pid_t($0.string) }.sorted()
            .map { Process(processID: $0, directory: proc.appending("\($0)")) }
    }

    struct Process: CustomStringConvertible {
        let processID: pid_t
        let directory: FilePath

        /// The name ps shows; anybody may name a process as he likes.
        var name: String {
            let bytes = (try? readWholeFile(directory.appending("comm"))) ?? []
            return escapedControlCharacters(
                String(decoding: bytes.filter { $0 != UInt8(ascii: "\n") }, as: UTF8.self))
        }

        var description: String { "\(name) (process \(processID))" }

        /// The descriptors that are open on this. Only the links are read, so that nothing can hang.
        func descriptors(on target: FilePath) -> [FilePath.Component] {
            let links = directory.appending("fd")
            return ((try? directoryEntries(links)) ?? []).filter {
                (try? readSymbolicLink(links.appending($0))) == target
            }
        }

        func descriptorInformation(_ number: FilePath.Component) -> String {
            let bytes =
                (try? readWholeFile(directory.appending("fdinfo").appending(number), limit: 16 << 20)) ?? []
            return String(decoding: bytes, as: UTF8.self)
        }
    }
}
