import FoundationEssentials
import NIOCore

/// Cuts a stream of bytes at its NULs, and never holds much more than one message.
struct MessageFramer {
    struct MessageTooLong: Error {}

    private let maximumMessage: Int
    private var buffer = ByteBuffer()
    /// Bytes at the start of the buffer that are known to hold no NUL: a message that comes in many pieces is
    /// looked through once.
    private var searched = 0

    /// - Parameter maximumMessage: Bytes that a message may have, without its NUL.
    init(maximumMessage: Int) {
        self.maximumMessage = maximumMessage
    }

    mutating func append(_ bytes: ByteBuffer) {
        if buffer.readableBytes == 0 {
            buffer = bytes
        } else {
            // Once for each piece that comes, not for each message that goes: there may be hundreds in one piece.
            buffer.discardReadBytes()
            buffer.writeImmutableBuffer(bytes)
        }
    }

    /// The next message without its NUL; nil while it is not there in full.
    mutating func next() throws(MessageTooLong) -> Data? {
        let unsearched = buffer.readableBytesView.dropFirst(searched)
        guard let end = unsearched.firstIndex(of: 0) else {
            searched = buffer.readableBytes
            if searched > maximumMessage { throw MessageTooLong() }
            return nil
        }
        let length = end - buffer.readerIndex
        if length > maximumMessage { throw MessageTooLong() }
        let message = Data(buffer.readableBytesView.prefix(length))
        buffer.moveReaderIndex(forwardBy: length + 1)
        searched = 0
        // Gives the memory back that a large message took.
        if buffer.readableBytes == 0 { buffer = ByteBuffer() }
        return message
    }

    /// Forgets what is there, for a connection that is not listened to any more.
    mutating func clear() {
        buffer = ByteBuffer()
        searched = 0
    }
}
