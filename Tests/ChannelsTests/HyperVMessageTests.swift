import Channels
import Testing

@Suite("The Hyper-V messages, byte for byte (hv_snapshot.c, <linux/hyperv.h>)")
struct HyperVMessageTests {
    @Test func registrationIsTwelveBytesThatBeginWith129() {
        #expect(HyperVMessage.registration.bytes == [129, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    }

    @Test func versionIsALittleEndianWord() throws {
        #expect(HyperVVersion.current.bytes == [129, 0, 0, 0])
        #expect(try HyperVVersion([1, 2, 3, 4]).rawValue == 0x0403_0201)
    }

    @Test(arguments: [(HyperVOperation.hotBackup, UInt8(2)), (.freeze, 5), (.thaw, 6)])
    func operationIsTheFirstByte(operation: HyperVOperation, code: UInt8) throws {
        let bytes = [code, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        #expect(HyperVMessage(operation: operation).bytes == bytes)
        #expect(try HyperVMessage(bytes).operation == operation)
    }

    @Test func answerIsTheMessageWithTheErrorOverItsFirstFourBytes() throws {
        let message = try HyperVMessage([5, 11, 12, 13, 14, 15, 16, 17, 0x78, 0x56, 0x34, 0x12])
        #expect(message.flags == 0x1234_5678)
        #expect(
            message.answered(with: .success).bytes == [0, 0, 0, 0, 14, 15, 16, 17, 0x78, 0x56, 0x34, 0x12])
        #expect(
            message.answered(with: .failure).bytes
                == [0x05, 0x40, 0x00, 0x80, 14, 15, 16, 17, 0x78, 0x56, 0x34, 0x12])
        #expect(message.answered(with: .failure).status == .failure)
    }

    @Test(
        "No answer can be taken for a registration",
        arguments: [HyperVStatus.success, .failure], [UInt8](0...255))
    func answerIsNoRegistration(status: HyperVStatus, code: UInt8) {
        let answer = HyperVMessage(operation: HyperVOperation(rawValue: code)).answered(with: status)
        #expect(answer.operation != .register && answer.operation != .oldRegister)
    }

    @Test(arguments: [0, 1, 4, 11, 13, 24])
    func anyOtherLengthIsMalformed(count: Int) {
        #expect {
            try HyperVMessage([UInt8](repeating: 5, count: count))
        } throws: { error in
            (error as? ChannelError)?.code == .malformedMessage && "\(error)".contains("\(count) bytes")
        }
    }

    @Test(arguments: [0, 3, 5, 12])
    func anyOtherVersionLengthIsMalformed(count: Int) {
        #expect(throws: ChannelError.self) { try HyperVVersion([UInt8](repeating: 1, count: count)) }
    }
}
