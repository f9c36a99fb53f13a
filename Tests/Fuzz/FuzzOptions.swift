import LinuxCalls
import SystemPackage

/// `Fuzz list`, `Fuzz sources PARSER`, and `Fuzz PARSER OPTION…`.
struct FuzzOptions {
    var seed: UInt64 = 1
    var inputs = 100_000
    /// Only this one of the inputs.
    var only: Int?
    /// Prints and saves the input without feeding it.
    var isForShow = false
    /// An input that was saved earlier.
    var file: FilePath?
    /// Where what fails is saved, and which input is being fed.
    var directory: FilePath = "."

    struct Problem: Error, CustomStringConvertible {
        let description: String
    }

    init(_ arguments: some Sequence<String>) throws {
        var rest = Array(arguments)[...]
        while let option = rest.popFirst() {
            if option == "--show" {
                isForShow = true
                continue
            }
            guard let value = rest.popFirst() else { throw Problem(description: "\(option): a value is missing") }
            let number = UInt64(value)
            switch (option, number) {
            case ("--seed", let number?): seed = number
            case ("--inputs", let number?): inputs = Int(clamping: number)
            case ("--input", let number?): only = Int(clamping: number)
            case ("--file", _): file = FilePath(value)
            case ("--directory", _): directory = FilePath(value)
            default: throw Problem(description: "\(option) \(value): not understood")
            }
        }
    }
}

func writeError(_ line: String) {
    try? writeAll(Array("\(line)\n".utf8), to: .standardError)
}
