// Linux interfaces that Swift cannot import: function-like macros, variadic functions, system
// calls without a glibc wrapper, and atomics on shared memory. Every function that can fail returns 0 (or a
// descriptor or count) on success and the negated errno on failure, so that no errno is lost on the way.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// Freezing (fs/ioctl.c: ioctl_fsfreeze, ioctl_fsthaw).
int clinux_freeze(int descriptor);
int clinux_thaw(int descriptor);
int clinux_syncfs(int descriptor);
int clinux_fsync(int descriptor);
extern const unsigned long clinux_freeze_request;
extern const unsigned long clinux_thaw_request;

// Opening without surprises (openat2(2)); RESOLVE_* flags of <linux/openat2.h>.
extern const uint64_t clinux_resolve_no_symlinks;
extern const uint64_t clinux_resolve_no_magic_links;
extern const uint64_t clinux_resolve_in_root;
extern const uint64_t clinux_resolve_cached;
int clinux_openat2(int directory, const char *path, int flags, uint64_t resolve);

// The mount a descriptor lies on (statx(2), STATX_MNT_ID: the id of /proc/self/mountinfo).
int clinux_mount_id(int descriptor, uint64_t *mount_id);

// For tasks in /proc: one read(2) of a file, and the index, counted from 0, of a system call's target descriptor among
// the arguments (-1: the call writes to no descriptor). The numbers of 32-bit programs are included.
ssize_t clinux_read_at(int directory, const char *path, void *bytes, size_t capacity);
int clinux_written_descriptor(long number, bool sendfile_holds);
bool clinux_is_splice(long number);
bool clinux_is_32_bit_write(long number);
// The ids of the kernel's internal mounts, which are in no mount table: of pipes, sockets, and memory files. Returns
// the number of ids.
size_t clinux_kernel_mount_ids(uint64_t *mount_ids, size_t capacity);

// A mount namespace of the calling thread's own (unshare(2)), and a node for a block device (mknod(2)).
int clinux_unshare_mounts(void);
int clinux_enter_mounts(int mount_namespace);  // the calling thread enters another one's, at its root (setns(2))
extern const int clinux_open_path;             // O_PATH
// 1 if a namespace is owned by the initial user namespace, else 0 (ioctl_ns(2), NS_GET_USERNS; Linux 4.9).
int clinux_is_owned_by_initial_users(int name_space);
int clinux_make_block_node(const char *path, uint32_t major_number, uint32_t minor_number);
// Whether a character device is one of those that share the major number of miscdevice.h.
bool clinux_is_misc_device(uint64_t device);

// 1 if the path lies on a filesystem that lives in memory (tmpfs or ramfs, by statfs(2)), else 0.
int clinux_is_on_memory_filesystem(const char *path);
// The device of a loop device's backing file (loop(4), LOOP_GET_STATUS64: lo_device).
int clinux_loop_backing_device(int descriptor, uint32_t *major_number, uint32_t *minor_number);
// The vsock address of this machine, from a descriptor of /dev/vsock (vsock(7)).
int clinux_vsock_local_cid(int descriptor, uint32_t *cid);

// Sockets that carry descriptors (SCM_RIGHTS, unix(7)). At most 253 descriptors a message.
ssize_t clinux_send(int socket, const void *bytes, size_t count, const int *descriptors, size_t descriptor_count);
ssize_t clinux_receive(
    int socket, void *bytes, size_t capacity, int *descriptors, size_t descriptor_capacity, size_t *descriptor_count);
int clinux_seqpacket_pair(int ends[2]);

// Sockets between machines (vsock(7)): a listener on every address of this machine, and the next connection with the
// context id of the machine at the other end. Both descriptors are nonblocking.
extern const uint32_t clinux_vsock_host;  // VMADDR_CID_HOST
int clinux_vsock_listen(uint32_t port);
int clinux_vsock_accept(int listener, uint32_t *context_id);

// Processes.
int clinux_pidfd_open(pid_t process);
int clinux_pidfd_kill(int pidfd, int signal);
int clinux_set_dumpable(bool dumpable);
// Has the numbers of the given signals written to a non-blocking pipe, and the signals do nothing else. Each call must
// name the same pipe.
int clinux_catch_signals(int pipe, const int *signals, size_t count);
// From now on the eventfd becomes readable at the end of the thread that started the process (PR_SET_PDEATHSIG,
// prctl(2)), or on SIGRTMAX.
int clinux_catch_parent_death(int event);
int clinux_limit_malloc_arenas(void);
int clinux_set_default_stack_size(size_t bytes);
int clinux_allow_locking_all(void);  // RLIMIT_MEMLOCK, which glibc hides from strict headers
extern const uint64_t clinux_clone_thread;        // CLONE_THREAD
extern const uint64_t clinux_name_thread_option;  // PR_SET_NAME
void clinux_name_thread(const char *name);  // cut to 15 bytes

// A new process; see ChildProcess.
enum { clinux_start_most_descriptors = 16 };
// The stages of a start in the child, in order.
enum {
    clinux_start_session,
    clinux_start_signals,
    clinux_start_scheduler,
    clinux_start_priority,
    clinux_start_oom_score,
    clinux_start_directory,
    clinux_start_descriptors,
    clinux_start_descriptor_limit,
    clinux_start_program,
};
// Attributes that a child would inherit otherwise.
struct clinux_inheritance {
    int nice;
    int oom_score_adjustment;
    bool has_descriptor_limits;  // otherwise inherited
    uint64_t soft_descriptor_limit;
    uint64_t hard_descriptor_limit;
    mode_t file_mode_mask;
};
struct clinux_program {
    const char *path;
    char *const *arguments;
    char *const *environment;
    const char *directory;    // NULL: the caller's
    const int *descriptors;   // become 0, 1, …; no other descriptor is inherited
    int descriptor_count;
    bool has_own_session;
    const struct clinux_inheritance *fresh;  // NULL: all attributes are inherited
};
// Makes the child, which waits for clinux_start_begin. The report becomes readable after execve(2), or at a failure.
int clinux_start(const struct clinux_program *program, pid_t *process, int *pidfd, int *report);
// Lets the child call execve(2). Without the call the child ends at the close of the report, or with the caller.
void clinux_start_begin(int report);
// Waits for the report: 0, or the negated errno of the stage that failed. 0 also if the child was killed meanwhile.
int clinux_start_result(int report, int *stage);
// Waits for the end of a child: its exit status, or the signal that ended it (waitpid(2)).
int clinux_reap(pid_t process, int *status, bool *was_signalled);

// Pipes: both ends close-on-exec from the start, the read end not blocking.
int clinux_pipe(int *read_end, int *write_end);

// Errors.
const char *clinux_error_name(int error);  // "EBUSY"; NULL for a number without a name

// Waking up.
int clinux_epoll(void);
int clinux_epoll_add(int epoll, int descriptor);  // EPOLLIN, EPOLLOUT, EPOLLET
int clinux_epoll_remove(int epoll, int descriptor);
// The descriptors with events; 8 at most. Milliseconds, -1 for no limit. As epoll_wait(2): -1 and errno for an error.
int clinux_epoll_wait(int epoll, int *ready, int capacity, int timeout);
int clinux_eventfd(void);
int clinux_boot_timer(void);
int clinux_boot_timer_arm(int timer, int64_t nanoseconds_since_boot);  // 0 disarms
int64_t clinux_boot_clock(void);                                        // CLOCK_BOOTTIME, nanoseconds
int64_t clinux_wall_clock(void);                                        // CLOCK_REALTIME, nanoseconds

// Files that come and go (inotify(7)): what is put into a directory, and the end of the directory itself.
int clinux_watch_directory(const char *path);
// Reads what there is, and tells whether anything was about this name, or about the directory itself: 1 or 0.
int clinux_take_directory_events(int watch, const char *name);

// Locks a whole file for writing, by the open file description (F_OFD_SETLK, fcntl(2)): 0, or -EAGAIN without waiting.
int clinux_try_lock_file(int descriptor);

// Atomics on shared memory.
static inline uint64_t clinux_load(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_SEQ_CST); }
static inline void clinux_store(uint64_t *word, uint64_t value) { __atomic_store_n(word, value, __ATOMIC_SEQ_CST); }
static inline bool clinux_compare_exchange(uint64_t *word, uint64_t expected, uint64_t desired) {
    return __atomic_compare_exchange_n(word, &expected, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

// A pseudoterminal (pty(7)): gives its non-blocking master, and the path of the other end.
int clinux_open_terminal(char *device, size_t capacity);
