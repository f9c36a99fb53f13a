#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct failure {
    int stage;
    int error;
};

// Without CAP_SYS_NICE or CAP_SYS_RESOURCE, or with a read-only /proc, the inherited values stay.
static bool is_denied(void) { return errno == EPERM || errno == EACCES || errno == EROFS; }

static bool reset_signals(void) {
    struct sigaction standard = {.sa_handler = SIG_DFL};
    // EINVAL: SIGKILL, SIGSTOP, and the two signals reserved by glibc.
    for (int number = 1; number <= SIGRTMAX; number++)
        if (sigaction(number, &standard, NULL) && errno != EINVAL) return false;
    sigset_t none;
    sigemptyset(&none);
    return sigprocmask(SIG_SETMASK, &none, NULL) == 0;
}

static bool set_scheduler(void) {
    struct sched_param parameters = {.sched_priority = 0};
    return sched_setscheduler(0, SCHED_OTHER, &parameters) == 0 || is_denied();
}

static bool set_oom_score(int adjustment) {
    char text[16];
    size_t start = sizeof text;
    unsigned rest = adjustment < 0 ? -(unsigned)adjustment : (unsigned)adjustment;
    do text[--start] = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (adjustment < 0) text[--start] = '-';
    int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (file < 0) return is_denied();
    bool is_set = write(file, text + start, sizeof text - start) >= 0 || is_denied();
    int error = errno;
    close(file);
    errno = error;
    return is_set;
}

static bool set_descriptor_limits(uint64_t soft, uint64_t hard) {
    struct rlimit limit = {.rlim_cur = soft, .rlim_max = hard};
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 || is_denied();
}

// Descriptors 0, 1, … become duplicates of the given ones. Destroys the array.
static bool set_descriptors(int *descriptors, int count) {
    // First above the target numbers.
    for (int i = 0; i < count; i++) {
        if (descriptors[i] >= count) continue;
        descriptors[i] = fcntl(descriptors[i], F_DUPFD_CLOEXEC, count);
        if (descriptors[i] < 0) return false;
    }
    for (int i = 0; i < count; i++)
        if (dup2(descriptors[i], i) < 0) return false;
    return true;
}

// Closed before execve(2), which may hang in the kernel on a dead disk.
static bool close_others(int first, int report) {
    if (report > first && close_range((unsigned)first, (unsigned)report - 1, 0)) return false;
    return close_range((unsigned)report + 1, ~0U, 0) == 0;
}

// False if the parent has ended or closed the report.
static bool may_begin(int report) {
    char byte;
    ssize_t count;
    do count = read(report, &byte, 1);
    while (count < 0 && errno == EINTR);
    return count == 1;
}

// In the child. Locks that other threads of the parent held stay locked in the copy of the memory, so the child makes
// system calls only (signal-safety(7)), and allocates nothing.
static _Noreturn void run(const struct clinux_program *program, int *descriptors, int report) {
    const struct clinux_inheritance *fresh = program->fresh;
    int stage = clinux_start_session;
    if (program->has_own_session && setsid() < 0) goto failed;
    stage = clinux_start_signals;
    if (!reset_signals()) goto failed;
    if (fresh) {
        stage = clinux_start_scheduler;
        if (!set_scheduler()) goto failed;
        stage = clinux_start_priority;
        if (setpriority(PRIO_PROCESS, 0, fresh->nice) && !is_denied()) goto failed;
        stage = clinux_start_oom_score;
        if (!set_oom_score(fresh->oom_score_adjustment)) goto failed;
        umask(fresh->file_mode_mask);
    }
    stage = clinux_start_directory;
    if (program->directory && chdir(program->directory)) goto failed;
    stage = clinux_start_descriptors;
    if (!set_descriptors(descriptors, program->descriptor_count)) goto failed;
    if (!close_others(program->descriptor_count, report)) goto failed;
    // After the last stage that needs a free descriptor.
    stage = clinux_start_descriptor_limit;
    if (fresh && fresh->has_descriptor_limits
        && !set_descriptor_limits(fresh->soft_descriptor_limit, fresh->hard_descriptor_limit))
        goto failed;
    // After close_others: the copy of another child's report would hide the end of the parent. The signal ends the wait
    // where a thread of the dead parent hangs in the kernel and keeps the parent's report open.
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (!may_begin(report)) _exit(127);
    prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
    stage = clinux_start_program;
    execve(program->path, program->arguments, program->environment);
failed:;
    struct failure failure = {.stage = stage, .error = errno};
    // Fails only without a reader.
    ssize_t written = send(report, &failure, sizeof failure, MSG_NOSIGNAL);
    (void)written;
    _exit(127);
}

// fork(3) would wait for locks of the C library, and has no pidfd. vfork(2) would block the caller while execve(2)
// hangs.
static pid_t make_child(int *pidfd) { return (pid_t)syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, NULL, pidfd, NULL, NULL); }

int clinux_start(const struct clinux_program *program, pid_t *process, int *pidfd, int *report) {
    if (program->descriptor_count > clinux_start_most_descriptors) return -EINVAL;
    int descriptors[clinux_start_most_descriptors];
    for (int i = 0; i < program->descriptor_count; i++) descriptors[i] = program->descriptors[i];
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) return -errno;
    // Above the numbers of the child's own descriptors.
    int childs_end = fcntl(ends[1], F_DUPFD_CLOEXEC, clinux_start_most_descriptors);
    int error = errno;
    close(ends[1]);
    if (childs_end < 0) {
        close(ends[0]);
        return -error;
    }
    // No signal handler of the parent may run in the child.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t child = make_child(pidfd);
    error = errno;
    if (child == 0) run(program, descriptors, childs_end);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(childs_end);
    if (child < 0) {
        close(ends[0]);
        return -error;
    }
    *process = child;
    *report = ends[0];
    return 0;
}

void clinux_start_begin(int report) {
    // Fails only if the child has ended, which the report tells.
    ssize_t sent = send(report, "", 1, MSG_NOSIGNAL);
    (void)sent;
}

int clinux_start_result(int report, int *stage) {
    struct failure failure;
    ssize_t count;
    do count = read(report, &failure, sizeof failure);
    while (count < 0 && errno == EINTR);
    if (count != sizeof failure) return 0;
    *stage = failure.stage;
    return -failure.error;
}

int clinux_reap(pid_t process, int *status, bool *was_signalled) {
    int value;
    pid_t reaped;
    do reaped = waitpid(process, &value, 0);
    while (reaped < 0 && errno == EINTR);
    if (reaped < 0) return -errno;
    *was_signalled = WIFSIGNALED(value);
    *status = WIFSIGNALED(value) ? WTERMSIG(value) : WEXITSTATUS(value);
    return 0;
}
