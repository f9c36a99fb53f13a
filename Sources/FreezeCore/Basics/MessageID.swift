/// What happened, as a number that never changes, whatever the words of the message are: what an admin's alert looks
/// for (`journalctl MESSAGE_ID=…`). Random, as systemd.journal-fields(7) asks for. docs/troubleshooting.md lists them.
public enum MessageID: String, CaseIterable, Sendable {
    /// A request failed: the host's backup is not consistent, or there is none.
    case backupFailed = "7594432eb46f2c83855f4129941920cb"
    /// A request succeeded, at the level that the message names.
    case backupSucceeded = "7a80c7727caa899d94ff145fa074c749"
    /// The window ended before the host's THAW: the snapshot may be torn.
    case thawedEarly = "7e0b08810675664016f842a0df69ac97"
    /// A freeze of this filesystem hangs in the kernel.
    case filesystemStuck = "620fc8679bb5aef1e8fd334f257096d5"
    /// A hook's call for thaw failed: its application may be down.
    case attention = "409147ab4515484cb1493efd86f6f60c"
    /// A process keeps the freeze of this filesystem hanging.
    case writeAccessHeld = "a1d61587a3dd47489edc5f35ebca66b8"
}
