/// An error that names the thing (mount point, hook, file, key) and the remedy.
///
/// Every module has one struct that conforms; the text is put together here so that all of them read alike.
public protocol ActionableError: Error, CustomStringConvertible, Sendable {
    /// The thing: a mount point, hook, file, or configuration key, as the admin knows it.
    var subject: String { get }
    /// What is wrong with it, in a clause.
    var problem: String { get }
    /// What the admin can do about it, in a sentence; nil where there is nothing to do.
    var remedy: String? { get }
}

extension ActionableError {
    /// One line, safe to show: a name in it may hold anything.
    public var description: String {
        let statement = subject.isEmpty ? problem : "\(subject): \(problem)"
        return escapedControlCharacters(remedy.map { "\(statement.asSentence) \($0)" } ?? statement)
    }
}

extension String {
    /// The text with a full stop at its end, unless it ends as a sentence does already.
    public var asSentence: String {
        guard let last, !".?!…".contains(last) else { return self }
        return self + "."
    }
}
