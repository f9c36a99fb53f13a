import FreezeCore
import LinuxCalls
import SystemPackage

/// The channels with a lost window: the next THAW fails, also after a restart.
extension RunDirectory {
    private var lostFile: FilePath { path.appending("lost") }

    /// The kept channels and reasons of the previous instance; none from an unreadable file.
    public var lostChannels: [ChannelID: String] {
        let bytes = (try? readWholeFile(lostFile)) ?? []
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        let pairs = lines.compactMap { line -> (ChannelID, String)? in
            let words = line.split(separator: " ", maxSplits: 1)
            return words.count == 2 ? (ChannelID(name: String(words[0])), String(words[1])) : nil
        }
        return Dictionary(pairs) { _, last in last }
    }

    /// - Throws: ENOSPC and others: then a restart forgets the channels.
    public func keepLost(_ channels: [ChannelID: String]) throws(Errno) {
        let lines = channels.map { "\($0.name) \(escapedControlCharacters($1))\n" }.sorted()
        try replaceFile(lostFile, by: Array(lines.joined().utf8))
    }
}
