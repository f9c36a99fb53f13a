"""Filesystems on disks that a process, or the kernel, of the same machine serves from files on another filesystem."""
from __future__ import annotations

import json

from case import Group, expect, expect_equal

BACKUPS = 20
MOUNT_POINT = "/srv/served"
IMAGE = "/srv/xfs/served.img"
TARGET = "iqn.2026-01.test:served"
LIO = "/sys/kernel/config/target"
NVMET = "/sys/kernel/config/nvmet"


class Served(Group):
    """One served disk after the other, with a filesystem that is busy during the backups."""

    def set_up(self) -> None:
        self.make_filesystems()
        self.load_driver()
        self.wait_for_registration()
        # It would lower every level.
        self.configure('[filesystems]\nexclude = ["fstype:vfat"]\n')
        self.machine.run(f"mkdir -p {MOUNT_POINT}; truncate -s 64M {IMAGE}")

    def mount(self, device: str) -> None:
        self.machine.wait_until(f"[ -b {device} ]")
        self.machine.run(f"mkfs.ext4 -q -F {device}; mount {device} {MOUNT_POINT}")

    def plan(self) -> dict:
        return json.loads(self.machine.run("quiescectl plan --json"))

    def entry(self, mount_point: str) -> dict:
        return next(each for each in self.plan()["filesystems"] if each["mount_point"] == mount_point)

    def expect_good_backups(self) -> None:
        """While somebody writes: what is dirty has to go through the server."""
        self.machine.run(
            "systemd-run --quiet --unit writer sh -c"
            f" 'while :; do dd if=/dev/urandom of={MOUNT_POINT}/busy bs=64k count=16 conv=fsync status=none; done'")
        for _ in range(BACKUPS):
            self.backup()
        self.machine.run("systemctl stop writer")
        records = json.loads(self.machine.run(f"quiescectl history --json --limit {BACKUPS}"))
        levels = {record.get("level") for record in records}
        expect_equal((len(records), levels), (BACKUPS, {"filesystem"}), "the backups and their levels")
        frozen = {each["mount_point"] for each in records[0]["filesystems"] if each["action"] == "freeze"}
        expect({MOUNT_POINT, "/srv/xfs", "/"} <= frozen, f"frozen: {frozen}")
        self.say(f"{BACKUPS} good backups; {self.entry(MOUNT_POINT)['order_reason']}")

    # --- NBD ---

    def connect_nbd(self) -> str:
        self.machine.run(f"modprobe nbd; qemu-nbd --fork --format=raw --cache=writeback --connect=/dev/nbd0 {IMAGE}")
        self.mount("/dev/nbd0")
        return "/dev/nbd0"

    def disconnect_nbd(self) -> None:
        self.machine.run(f"umount {MOUNT_POINT}; qemu-nbd --disconnect /dev/nbd0")

    def case_nbd(self) -> None:
        """qemu-nbd: twenty backups, all good."""
        self.connect_nbd()
        self.expect_good_backups()
        self.disconnect_nbd()

    def case_mapped_nbd(self) -> None:
        """The same through device-mapper."""
        device = self.connect_nbd()
        self.machine.run(
            f"umount {MOUNT_POINT}; echo 0 $(blockdev --getsz {device}) linear {device} 0 | dmsetup create served;"
            f"mount /dev/mapper/served {MOUNT_POINT}")
        self.expect_good_backups()
        self.machine.run(f"umount {MOUNT_POINT}; dmsetup remove served; qemu-nbd --disconnect {device}")

    def case_wrong_order(self) -> None:
        """A rule that is the wrong way round: the freeze hangs, everything is thawed, and the error names the key."""
        self.connect_nbd()
        self.configure(
            '[freeze]\ntimeout = "4s"\nmax_window = "20s"\n[filesystems]\nexclude = ["fstype:vfat"]\n'
            f'[[filesystems.order]]\nfirst = ["/srv/xfs"]\nthen = ["{MOUNT_POINT}"]\n')
        self.freeze(success=False)
        self.expect_thawed(["/", "/srv/xfs", MOUNT_POINT])
        self.thaw()
        self.wait_until_idle()
        reason = self.last_record()["reason"]
        self.say(reason)
        expect("[[filesystems.order]]" in reason and "/srv/xfs" in reason, f"the reason: {reason}")
        self.configure('[filesystems]\nexclude = ["fstype:vfat"]\n')
        self.disconnect_nbd()

    # --- SCSI ---

    def case_iscsi(self) -> None:
        """tgt and open-iscsi on 127.0.0.1: twenty backups, all good."""
        self.machine.run(
            "set -e; systemctl start tgt; modprobe iscsi_tcp;"
            f"tgtadm --lld iscsi --mode target --op new --tid 1 --targetname {TARGET};"
            f"tgtadm --lld iscsi --mode logicalunit --op new --tid 1 --lun 1 --backing-store {IMAGE};"
            "tgtadm --lld iscsi --mode target --op bind --tid 1 --initiator-address ALL;"
            "systemctl start iscsid; iscsiadm -m discovery -t sendtargets -p 127.0.0.1;"
            f"iscsiadm -m node -T {TARGET} -p 127.0.0.1 --login", timeout=120)
        self.machine.wait_until("ls /dev/disk/by-path/*-iscsi-*-lun-1")
        self.mount(self.machine.run("readlink -f /dev/disk/by-path/*-iscsi-*-lun-1"))
        self.expect_good_backups()
        self.machine.run(
            f"umount {MOUNT_POINT}; iscsiadm -m node -T {TARGET} --logout; systemctl stop iscsid iscsid.socket tgt",
            timeout=120)

    def case_lio_loopback(self) -> None:
        """LIO's loopback, which the kernel serves: twenty backups, all good."""
        port = f"{LIO}/loopback/naa.5001405000000001/tpgt_1"
        backstore = f"{LIO}/core/fileio_0/served"
        self.machine.run(
            "set -e; modprobe target_core_file; modprobe tcm_loop; mount -t configfs none /sys/kernel/config || true;"
            f"mkdir -p {backstore}; echo fd_dev_name={IMAGE},fd_dev_size=$((64 << 20)) >{backstore}/control;"
            f"echo 1 >{backstore}/enable; mkdir -p {port}/lun/lun_0; echo naa.5001405000000002 >{port}/nexus;"
            f"ln -s {backstore} {port}/lun/lun_0/served")
        disk = "/sys/devices/tcm_loop_0/tcm_loop_adapter_0/host*/target*/*/block"
        self.machine.wait_until(f"ls {disk}")
        self.mount("/dev/" + self.machine.run(f"ls {disk}"))
        self.expect_good_backups()
        self.machine.run(
            f"umount {MOUNT_POINT}; rm {port}/lun/lun_0/served; rmdir {port}/lun/lun_0 {port} $(dirname {port}) {backstore}")

    # --- NVMe ---

    def case_nvme_tcp(self) -> None:
        """NVMe over TCP on 127.0.0.1, which the kernel serves: twenty backups."""
        subsystem, port = f"{NVMET}/subsystems/served", f"{NVMET}/ports/1"
        self.machine.run(
            "set -e; modprobe nvmet-tcp; modprobe nvme-tcp; mount -t configfs none /sys/kernel/config || true;"
            f"mkdir {subsystem}; echo 1 >{subsystem}/attr_allow_any_host; mkdir {subsystem}/namespaces/1;"
            f"echo {IMAGE} >{subsystem}/namespaces/1/device_path; echo 1 >{subsystem}/namespaces/1/enable;"
            f"mkdir {port}; echo ipv4 >{port}/addr_adrfam; echo tcp >{port}/addr_trtype;"
            f"echo 127.0.0.1 >{port}/addr_traddr; echo 4420 >{port}/addr_trsvcid;"
            f"ln -s {subsystem} {port}/subsystems/served;"
            "echo transport=tcp,traddr=127.0.0.1,trsvcid=4420,nqn=served >/dev/nvme-fabrics")
        self.machine.wait_until("ls /dev/nvme*n1")
        self.mount(self.machine.run("ls /dev/nvme*n1"))
        self.say(self.machine.run("cat /sys/class/nvme/nvme*/address /sys/class/nvme/nvme*/transport"))
        self.expect_good_backups()
        self.say(self.machine.run("dmesg | grep -E 'WARN|nvme' | tail -5", check=False))
        self.machine.run(
            f"umount {MOUNT_POINT}; echo 1 >/sys/class/nvme/nvme0/delete_controller;"
            f"rm {port}/subsystems/served; rmdir {port} {subsystem}/namespaces/1 {subsystem}")
