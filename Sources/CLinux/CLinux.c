#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/major.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/loop.h>
#include <linux/nsfs.h>
#include <linux/openat2.h>
#include <linux/vm_sockets.h>
#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

// STATX_MNT_ID came with Linux 5.8; glibc's header may be older than the kernel.
#ifndef STATX_MNT_ID
#define STATX_MNT_ID 0x1000U
#endif

// RESOLVE_CACHED came with Linux 5.12.
#ifndef RESOLVE_CACHED
#define RESOLVE_CACHED 0x20
#endif

enum { descriptors_per_message = 253 };  // SCM_MAX_FD, include/net/scm.h

static int negated(int result) { return result < 0 ? -errno : result; }

int clinux_freeze(int descriptor) { return negated(ioctl(descriptor, FIFREEZE, 0)); }
int clinux_thaw(int descriptor) { return negated(ioctl(descriptor, FITHAW, 0)); }
const unsigned long clinux_freeze_request = FIFREEZE;
const unsigned long clinux_thaw_request = FITHAW;
int clinux_syncfs(int descriptor) { return negated(syncfs(descriptor)); }
int clinux_fsync(int descriptor) { return negated(fsync(descriptor)); }

const uint64_t clinux_resolve_no_symlinks = RESOLVE_NO_SYMLINKS;
const uint64_t clinux_resolve_no_magic_links = RESOLVE_NO_MAGICLINKS;
const uint64_t clinux_resolve_in_root = RESOLVE_IN_ROOT;
const uint64_t clinux_resolve_cached = RESOLVE_CACHED;

int clinux_openat2(int directory, const char *path, int flags, uint64_t resolve) {
    struct open_how how = {.flags = (uint64_t)flags, .mode = 0, .resolve = resolve};
    return negated((int)syscall(SYS_openat2, directory, path, &how, sizeof how));
}

int clinux_mount_id(int descriptor, uint64_t *mount_id) {
    struct statx status;
    memset(&status, 0, sizeof status);
    // AT_STATX_DONT_SYNC: never ask a network server.
    int flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT;
    if (statx(descriptor, "", flags, STATX_MNT_ID, &status) < 0) return -errno;
    if (!(status.stx_mask & STATX_MNT_ID)) return -ENOSYS;
    *mount_id = status.stx_mnt_id;
    return 0;
}

ssize_t clinux_read_at(int directory, const char *path, void *bytes, size_t capacity) {
    int file = openat(directory, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return -errno;
    ssize_t count = read(file, bytes, capacity);
    if (count < 0) count = -errno;
    close(file);
    return count;
}

// System call numbers of 32-bit programs (arch/x86/entry/syscalls/syscall_32.tbl, arch/arm64/tools/syscall_32.tbl). A
// 64-bit program can use these numbers as well (int 0x80), and /proc does not show which table is meant.
#ifdef __x86_64__
enum { other_pwritev = 334, other_pwritev2 = 379, other_splice = 313, other_copy_file_range = 377 };
enum { x32_bit = 0x40000000, x32_writev = 516, x32_pwritev = 535, x32_pwritev2 = 547 };
#else
enum { other_pwritev = 362, other_pwritev2 = 393, other_splice = 340, other_copy_file_range = 391 };
enum { x32_bit = 0, x32_writev = -1, x32_pwritev = -1, x32_pwritev2 = -1 };
#endif
enum { other_write = 4, other_writev = 146, other_pwrite64 = 181, other_sendfile = 187, other_sendfile64 = 239 };

bool clinux_is_splice(long number) {
    number &= ~(long)x32_bit;
    return number == SYS_splice || number == other_splice;
}

bool clinux_is_32_bit_write(long number) {
    const long writes[] = {
        other_write, other_writev, other_pwrite64, other_pwritev, other_pwritev2, other_splice, other_sendfile,
        other_sendfile64, other_copy_file_range,
    };
    for (size_t i = 0; i < sizeof writes / sizeof *writes; i++)
        if (number == writes[i]) return true;
    return false;
}

int clinux_written_descriptor(long number, bool sendfile_holds) {
    if (number < 0) return -1;
    number &= ~(long)x32_bit;
    if (clinux_is_splice(number)) return 2;
    const long writes[] = {
        SYS_write, SYS_writev, SYS_pwrite64, SYS_pwritev, SYS_pwritev2, other_write, other_writev, other_pwrite64,
        other_pwritev, other_pwritev2, x32_writev, x32_pwritev, x32_pwritev2,
    };
    for (size_t i = 0; i < sizeof writes / sizeof *writes; i++)
        if (number == writes[i]) return 0;
    if (!sendfile_holds) return -1;
    if (number == SYS_sendfile || number == other_sendfile || number == other_sendfile64) return 0;
    if (number == SYS_copy_file_range || number == other_copy_file_range) return 2;
    return -1;
}

size_t clinux_kernel_mount_ids(uint64_t *mount_ids, size_t capacity) {
    int pipe_ends[2] = {-1, -1};
    if (pipe2(pipe_ends, O_CLOEXEC) < 0) return 0;
    const int descriptors[] = {
        pipe_ends[0], pipe_ends[1], socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
        memfd_create("quiesced", MFD_CLOEXEC), memfd_create("quiesced", MFD_CLOEXEC | MFD_HUGETLB),
    };
    size_t count = 0;
    for (size_t i = 0; i < sizeof descriptors / sizeof *descriptors; i++) {
        if (descriptors[i] < 0) continue;
        if (count < capacity && !clinux_mount_id(descriptors[i], &mount_ids[count])) count++;
        close(descriptors[i]);
    }
    return count;
}

int clinux_vsock_local_cid(int descriptor, uint32_t *cid) {
    unsigned int value = 0;
    if (ioctl(descriptor, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &value) < 0) return -errno;
    *cid = value;
    return 0;
}

int clinux_loop_backing_device(int descriptor, uint32_t *major_number, uint32_t *minor_number) {
    struct loop_info64 information;
    memset(&information, 0, sizeof information);
    if (ioctl(descriptor, LOOP_GET_STATUS64, &information) < 0) return -errno;
    // The kernel writes it as huge_encode_dev() does, which is how glibc's dev_t is laid out too.
    *major_number = major(information.lo_device);
    *minor_number = minor(information.lo_device);
    return 0;
}

ssize_t clinux_send(int socket, const void *bytes, size_t count, const int *descriptors, size_t descriptor_count) {
    if (descriptor_count > descriptors_per_message) return -EINVAL;
    union {
        char bytes[CMSG_SPACE(descriptors_per_message * sizeof(int))];
        struct cmsghdr alignment;
    } control;
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = count};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (descriptor_count > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(descriptor_count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(descriptor_count * sizeof(int));
        memcpy(CMSG_DATA(header), descriptors, descriptor_count * sizeof(int));
    }
    ssize_t sent;
    do sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

ssize_t clinux_receive(
    int socket, void *bytes, size_t capacity, int *descriptors, size_t descriptor_capacity, size_t *descriptor_count) {
    union {
        char bytes[CMSG_SPACE(descriptors_per_message * sizeof(int))];
        struct cmsghdr alignment;
    } control;
    struct iovec part = {.iov_base = bytes, .iov_len = capacity};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control};
    *descriptor_count = 0;
    ssize_t received;
    do received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (received < 0 && errno == EINTR);
    if (received < 0) return -errno;
    bool overflow = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t index = 0; index < count; index++) {
            int descriptor;
            memcpy(&descriptor, CMSG_DATA(header) + index * sizeof(int), sizeof descriptor);
            if (overflow || *descriptor_count == descriptor_capacity) {
                overflow = true;
                close(descriptor);
            } else {
                descriptors[(*descriptor_count)++] = descriptor;
            }
        }
    }
    if (overflow) {
        for (size_t index = 0; index < *descriptor_count; index++) close(descriptors[index]);
        *descriptor_count = 0;
        return -EMSGSIZE;
    }
    return received;
}

int clinux_seqpacket_pair(int ends[2]) {
    return negated(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
}

int clinux_unshare_mounts(void) { return negated(unshare(CLONE_NEWNS)); }
const int clinux_open_path = O_PATH;

int clinux_is_owned_by_initial_users(int name_space) {
    const ino_t initial_user_namespace = 0xEFFFFFFD;  // PROC_USER_INIT_INO, include/linux/proc_ns.h
    int owner = ioctl(name_space, NS_GET_USERNS);
    if (owner < 0) return -errno;
    struct stat status;
    int result = negated(fstat(owner, &status));
    close(owner);
    return result < 0 ? result : status.st_ino == initial_user_namespace;
}

int clinux_enter_mounts(int mount_namespace) {
    // setns(2) refuses a thread that shares its root and working directory with others.
    if (unshare(CLONE_FS) < 0) return -errno;
    return negated(setns(mount_namespace, CLONE_NEWNS));
}

int clinux_make_block_node(const char *path, uint32_t major_number, uint32_t minor_number) {
    return negated(mknod(path, S_IFBLK | 0600, makedev(major_number, minor_number)));
}

bool clinux_is_misc_device(uint64_t device) { return major(device) == MISC_MAJOR; }

int clinux_pidfd_open(pid_t process) { return negated((int)syscall(SYS_pidfd_open, process, 0)); }
int clinux_pidfd_kill(int pidfd, int signal) {
    return negated((int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0));
}
static int catch_signals(void (*handler)(int), const int signals[], size_t count) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    for (size_t i = 0; i < count; i++)
        if (sigaction(signals[i], &action, NULL)) return -errno;
    return 0;
}
static int signal_pipe = -1;
static void write_signal(int signal) {
    int error = errno;
    unsigned char number = (unsigned char)signal;
    // Fails only if nobody has read thousands of signals.
    ssize_t written = write(signal_pipe, &number, sizeof number);
    (void)written;
    errno = error;
}
int clinux_catch_signals(int pipe, const int *signals, size_t count) {
    signal_pipe = pipe;
    return catch_signals(write_signal, signals, count);
}
static int parent_death_event = -1;
static void write_parent_death(int signal) {
    (void)signal;
    int error = errno;
    uint64_t one = 1;
    // Fails only if the counter is full, and so readable.
    ssize_t written = write(parent_death_event, &one, sizeof one);
    (void)written;
    errno = error;
}
int clinux_catch_parent_death(int event) {
    parent_death_event = event;
    // SIGRTMAX: no program sends this signal to other processes.
    const int signals[] = {SIGRTMAX};
    int result = catch_signals(write_parent_death, signals, 1);
    return result < 0 ? result : negated(prctl(PR_SET_PDEATHSIG, SIGRTMAX, 0, 0, 0));
}
int clinux_set_dumpable(bool dumpable) { return negated(prctl(PR_SET_DUMPABLE, dumpable ? 1 : 0, 0, 0, 0)); }

int clinux_allow_locking_all(void) {
    struct rlimit unlimited = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
    return negated(setrlimit(RLIMIT_MEMLOCK, &unlimited));
}

int clinux_watch_directory(const char *path) {
    int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (watch < 0) return -errno;
    uint32_t events = IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
    if (inotify_add_watch(watch, path, events) >= 0) return watch;
    int error = errno;
    close(watch);
    return -error;
}

int clinux_take_directory_events(int watch, const char *name) {
    _Alignas(struct inotify_event) char buffer[4096];
    int matches = 0;
    for (;;) {
        ssize_t count = read(watch, buffer, sizeof buffer);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return errno == EAGAIN ? matches : -errno;
        for (char *next = buffer; next < buffer + count;) {
            struct inotify_event *event = (struct inotify_event *)next;
            // Without a name: about the directory, or events were lost (IN_Q_OVERFLOW).
            if (event->len == 0 || strcmp(event->name, name) == 0) matches = 1;
            next += sizeof *event + event->len;
        }
    }
}

int clinux_try_lock_file(int descriptor) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(descriptor, F_OFD_SETLK, &lock) == 0 ? 0 : -errno;
}

const char *clinux_error_name(int error) { return strerrorname_np(error); }
int clinux_limit_malloc_arenas(void) { return mallopt(M_ARENA_MAX, 1) == 1 ? 0 : -EINVAL; }

int clinux_set_default_stack_size(size_t bytes) {
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error) return -error;
    error = pthread_attr_setstacksize(&attributes, bytes);
    if (!error) error = pthread_setattr_default_np(&attributes);
    pthread_attr_destroy(&attributes);
    return -error;
}

int clinux_pipe(int *read_end, int *write_end) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
    // The ends are two open file descriptions: this does not reach the writer.
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0) {
        int error = errno;
        close(ends[0]);
        close(ends[1]);
        return -error;
    }
    *read_end = ends[0];
    *write_end = ends[1];
    return 0;
}

int clinux_epoll(void) { return negated(epoll_create1(EPOLL_CLOEXEC)); }

int clinux_epoll_add(int epoll, int descriptor) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.fd = descriptor};
    return negated(epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event));
}

int clinux_epoll_remove(int epoll, int descriptor) {
    return negated(epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, NULL));
}

int clinux_epoll_wait(int epoll, int *ready, int capacity, int timeout) {
    struct epoll_event events[8];
    int count = epoll_wait(epoll, events, capacity < 8 ? capacity : 8, timeout);
    for (int i = 0; i < count; i++) ready[i] = events[i].data.fd;
    return count;
}

const uint32_t clinux_vsock_host = VMADDR_CID_HOST;

int clinux_vsock_listen(uint32_t port) {
    int listener = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0) return -errno;
    // hv_sock binds to no other address than CID_ANY (net/vmw_vsock/hv_sock.c).
    struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port};
    if (bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 64) == 0) return listener;
    int error = errno;
    close(listener);
    return -error;
}

int clinux_vsock_accept(int listener, uint32_t *context_id) {
    struct sockaddr_vm peer = {0};
    socklen_t length = sizeof peer;
    int connection = accept4(listener, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection < 0) return -errno;
    *context_id = peer.svm_cid;
    return connection;
}

int clinux_eventfd(void) { return negated(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }
int clinux_boot_timer(void) { return negated(timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK)); }

int clinux_boot_timer_arm(int timer, int64_t nanoseconds_since_boot) {
    struct itimerspec specification = {
        .it_value = {
            .tv_sec = nanoseconds_since_boot / 1000000000, .tv_nsec = nanoseconds_since_boot % 1000000000}};
    return negated(timerfd_settime(timer, TFD_TIMER_ABSTIME, &specification, NULL));
}

static int64_t read_clock(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t clinux_boot_clock(void) { return read_clock(CLOCK_BOOTTIME); }
int64_t clinux_wall_clock(void) { return read_clock(CLOCK_REALTIME); }

const uint64_t clinux_clone_thread = CLONE_THREAD;
const uint64_t clinux_name_thread_option = PR_SET_NAME;
void clinux_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

int clinux_is_on_memory_filesystem(const char *path) {
    struct statfs filesystem;
    if (statfs(path, &filesystem) < 0) return -errno;
    return filesystem.f_type == TMPFS_MAGIC || filesystem.f_type == RAMFS_MAGIC;
}

int clinux_open_terminal(char *device, size_t capacity) {
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (master < 0) return -errno;
    int error = 0;
    if (grantpt(master) < 0 || unlockpt(master) < 0)
        error = errno;
    else
        error = ptsname_r(master, device, capacity);
    if (error == 0) return master;
    close(master);
    return -error;
}

// The statically linked standard library of Swift refers to hypotf. With glibc 2.35 or later the linker selects version
// GLIBC_2.35 of hypotf, the only symbol that systems with glibc 2.34 (RHEL 9) lack. A double can hold the sum of the
// squares of two floats.
float hypotf(float x, float y) {
    if (isinf(x) || isinf(y)) return INFINITY;
    return (float)sqrt((double)x * x + (double)y * y);
}
