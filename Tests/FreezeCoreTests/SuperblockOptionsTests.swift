import FreezeCore
import SystemPackage
import Testing

@Suite struct SuperblockOptionsTests {
    @Test(arguments: [
        ("ro", true), ("rw", false), ("ro,noquota", true), ("rw,ro", false), ("rw,subvol=/ro", false),
        ("rw,subvol=/a,ro", false), ("rw,errors=remount-ro", false), ("rw,upperdir=/a\\054ro", false), ("", false),
    ])
    func onlyTheFirstOptionTellsWhetherItIsReadOnly(_ text: String, _ isReadOnly: Bool) {
        #expect(SuperblockOptions(text.utf8).isReadOnly == isReadOnly)
    }

    @Test(
        arguments: [
            ("rw,logdev=/dev/sdb,noquota", "logdev", "/dev/sdb"), ("rw,logdev=/dev/sdb", "rtdev", nil),
            ("rw,logdev=/dev/a\\040b\\134c\\054d", "logdev", "/dev/a b\\c,d"),
            ("rw,xlogdev=/dev/x,logdev=/dev/y", "logdev", "/dev/y"), ("rw,logdev", "logdev", nil),
            ("rw,subvolid=5,subvol=/", "subvol", "/"),
            ("rw,subvolid=256,subvol=/a\\054logdev=/b", "subvol", "/a,logdev=/b"),
            ("rw,subvolid=256,subvol=/a,logdev=/b", "subvol", "/a,logdev=/b"),
            ("rw,subvolid=256,subvol=/a,logdev=/b", "logdev", nil),
            ("rw,upperdir=/u\\054workdir=/x,workdir=/w", "workdir", "/w"),
            ("rw,upperdir=/short\\05", "upperdir", "/short\\05"), ("rw,upperdir=/end\\", "upperdir", "/end\\"),
        ] as [(String, String, FilePath?)])
    func anOptionIsFoundAndDecoded(_ text: String, _ name: String, _ expected: FilePath?) {
        #expect(SuperblockOptions(text.utf8).path(name) == expected)
    }

    @Test func aNameThatIsNotUTF8IsKept() {
        let options = SuperblockOptions(Array("rw,subvol=/".utf8) + [0xFF] + Array(",ro".utf8))
        #expect(options.path("subvol")?.bytes == [UInt8(ascii: "/"), 0xFF] + Array(",ro".utf8))
    }

    @Test(
        arguments: [
            ("rw,subvolid=256,subvol=/a,subvolid=5", 256), ("rw,subvol=/a,subvolid=5", nil), ("rw", nil),
            ("rw,subvolid=x", nil),
        ] as [(String, UInt64?)])
    func aNameIsNoNumberOfASubvolume(_ text: String, _ expected: UInt64?) {
        #expect(SuperblockOptions(text.utf8).subvolumeID == expected)
    }
}
