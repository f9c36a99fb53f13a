import FreezeCore
import SystemPackage

/// Why a configuration file was not accepted. The daemon does not start with it.
public struct ConfigurationError: ActionableError, Hashable {
    public let file: FilePath
    /// The key's full name, such as `freeze.timeout`; nil if the file as a whole is at fault.
    public let key: String?
    /// From 1; nil where it is not known.
    public let line: Int?
    /// From 1; nil where it is not known.
    public let column: Int?
    public let problem: String
    public let remedy: String?

    public init(
        file: FilePath, key: String? = nil, line: Int? = nil, column: Int? = nil, problem: String, remedy: String?
    ) {
        self.file = file
        self.key = key
        self.line = line
        self.column = column
        self.problem = problem
        self.remedy = remedy
    }

    /// `FILE:LINE:COLUMN: KEY`, as compilers write it, so that editors jump there.
    public var subject: String {
        var place = file.string
        if let line { place += ":\(line)" }
        if line != nil, let column { place += ":\(column)" }
        guard let key else { return place }
        return "\(place): \(key)"
    }
}
