// Runs as an unprivileged user and holds write access to a filesystem indefinitely, by one kernel path per mode:
//
//   write-holder splice FILE          splice from a pipe without data
//   write-holder mapped FILE          write of a buffer mapped from a FUSE filesystem that never answers a read
//   write-holder mapped-async FILE    the same, with asynchronous reads: sleeps on the page, not on the answer
//   write-holder sendfile FILE        sendfile from a file on the same kind of FUSE filesystem
//   write-holder overlay DIRECTORY    splice into a file of an overlay with the upper directory in DIRECTORY
//   write-holder copy-up DIRECTORY    open for writing on such an overlay, with the lower file on the FUSE filesystem
//   write-holder detached DIRECTORY   splice into a file reached through a mount in no mount table
//   write-holder trickle FILE         splice from a pipe that gets a byte five times a second, like a slow `pv`
//   write-holder threads COUNT        no writer: sleeping threads, for measurements
//
// Writes "ready" just before the sleep. All modes but splice, trickle and threads need user namespaces.
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/mount.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PAGE = 4096 };
static const char fuse_mount[] = "/tmp/fuse";
static int fuse = -1;
static uint32_t fuse_flags;

static int check(int result, const char *what) {
    if (result < 0) err(1, "%s", what);
    return result;
}

static void write_text(const char *path, const char *text) {
    int file = check(open(path, O_WRONLY | O_CLOEXEC), path);
    if (write(file, text, strlen(text)) < 0) err(1, "%s", path);
    close(file);
}

// Enters a user namespace as root, and a mount namespace with a private /tmp.
static void enter_namespaces(void) {
    char uid[64], gid[64];
    snprintf(uid, sizeof uid, "0 %d 1", getuid());
    snprintf(gid, sizeof gid, "0 %d 1", getgid());
    check(unshare(CLONE_NEWUSER | CLONE_NEWNS), "unshare");
    write_text("/proc/self/setgroups", "deny");
    write_text("/proc/self/uid_map", uid);
    write_text("/proc/self/gid_map", gid);
    check(mount("tmpfs", "/tmp", "tmpfs", 0, NULL), "/tmp");
}

static void answer(uint64_t unique, int error, const void *body, size_t length) {
    struct fuse_out_header header = {.len = sizeof header + length, .error = error, .unique = unique};
    struct iovec parts[] = {{&header, sizeof header}, {(void *)body, length}};
    if (writev(fuse, parts, length ? 2 : 1) < 0 && errno != ENOENT) warn("fuse");
}

// Serves a filesystem with one file, `file`. Reads of the file get no answer.
static void *serve(void *unused) {
    static char request[1 << 20];
    (void)unused;
    for (;;) {
        ssize_t length = read(fuse, request, sizeof request);
        if (length < 0 && errno == ENODEV) exit(0);
        if (length < (ssize_t)sizeof(struct fuse_in_header)) continue;
        const struct fuse_in_header *in = (const void *)request;
        const struct fuse_attr directory = {.ino = 1, .mode = S_IFDIR | 0755, .nlink = 2};
        const struct fuse_attr file = {.ino = 2, .size = 16 * PAGE, .blocks = 128, .mode = S_IFREG | 0644, .nlink = 1};
        switch (in->opcode) {
        case FUSE_INIT: {
            struct fuse_init_out out = {.major = 7, .minor = 31, .max_readahead = PAGE, .max_write = PAGE,
                                        .flags = fuse_flags};
            answer(in->unique, 0, &out, sizeof out);
            break;
        }
        case FUSE_LOOKUP: {
            struct fuse_entry_out out = {.nodeid = 2, .attr = file, .attr_valid = 3600, .entry_valid = 3600};
            int isFile = !strcmp(request + sizeof *in, "file");
            answer(in->unique, isFile ? 0 : -ENOENT, &out, isFile ? sizeof out : 0);
            break;
        }
        case FUSE_GETATTR: {
            struct fuse_attr_out out = {.attr = in->nodeid == 1 ? directory : file, .attr_valid = 3600};
            answer(in->unique, 0, &out, sizeof out);
            break;
        }
        case FUSE_STATFS: {
            struct fuse_statfs_out out = {.st = {.bsize = PAGE, .namelen = 255}};
            answer(in->unique, 0, &out, sizeof out);
            break;
        }
        case FUSE_OPEN:
        case FUSE_OPENDIR: {
            struct fuse_open_out out = {.fh = 1};
            answer(in->unique, 0, &out, sizeof out);
            break;
        }
        case FUSE_READ:
        case FUSE_FORGET:
        case FUSE_INTERRUPT:
            break;
        case FUSE_RELEASE:
        case FUSE_RELEASEDIR:
        case FUSE_FLUSH:
        case FUSE_ACCESS:
            answer(in->unique, 0, NULL, 0);
            break;
        default: answer(in->unique, -ENOSYS, NULL, 0);
        }
    }
}

static void mount_fuse(uint32_t flags) {
    char options[128];
    pthread_t server;
    fuse_flags = flags;
    fuse = check(open("/dev/fuse", O_RDWR | O_CLOEXEC), "/dev/fuse");
    check(mkdir(fuse_mount, 0755), fuse_mount);
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse);
    check(mount("silent", fuse_mount, "fuse", 0, options), "mounting fuse");
    errno = pthread_create(&server, NULL, serve, NULL);
    if (errno) err(1, "thread");
}

static void ready(void) {
    puts("ready");
    fflush(stdout);
}

// Sleeps until killed.
static void splice_into(int file) {
    int ends[2];
    check(pipe(ends), "pipe");
    ready();
    check(splice(ends[0], NULL, file, NULL, PAGE, 0), "splice");
}

static void *trickle(void *pipe_end) {
    for (;;) {
        usleep(200000);
        if (write(*(int *)pipe_end, "x", 1) < 0) exit(1);
    }
}

static int open_silent(void) { return check(open("/tmp/fuse/file", O_RDONLY | O_CLOEXEC), "/tmp/fuse/file"); }

static void write_mapped(int file) {
    void *buffer = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, open_silent(), 0);
    if (buffer == MAP_FAILED) err(1, "mmap");
    ready();
    if (write(file, buffer, PAGE) < 0) err(1, "write");
}

static void mount_overlay(const char *directory, const char *lower) {
    char options[3 * PAGE];
    snprintf(options, sizeof options, "%s/upper", directory);
    if (mkdir(options, 0755) && errno != EEXIST) err(1, "%s", options);
    snprintf(options, sizeof options, "%s/work", directory);
    if (mkdir(options, 0755) && errno != EEXIST) err(1, "%s", options);
    check(mkdir("/tmp/overlay", 0755), "/tmp/overlay");
    snprintf(options, sizeof options, "userxattr,lowerdir=%s,upperdir=%s/upper,workdir=%s/work", lower, directory,
             directory);
    check(mount("overlay", "/tmp/overlay", "overlay", 0, options), "mounting overlay");
}

static void *sleep_long(void *unused) {
    for (;;) pause();
    return unused;
}

int main(int count, char **arguments) {
    if (count != 3) errx(2, "usage: write-holder KIND FILE");
    const char *kind = arguments[1], *path = arguments[2];
    if (!strcmp(kind, "threads")) {
        pthread_attr_t attributes;
        pthread_t thread;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, 1 << 16);
        for (int left = atoi(path); left > 0; left--)
            if ((errno = pthread_create(&thread, &attributes, sleep_long, NULL))) err(1, "thread");
        ready();
        sleep_long(NULL);
    }
    if (!strcmp(kind, "overlay") || !strcmp(kind, "copy-up")) {
        enter_namespaces();
        if (!strcmp(kind, "overlay")) {
            check(mkdir("/tmp/lower", 0755), "/tmp/lower");
            mount_overlay(path, "/tmp/lower");
            splice_into(check(open("/tmp/overlay/held", O_WRONLY | O_CREAT, 0644), "held"));
        }
        mount_fuse(0);
        mount_overlay(path, fuse_mount);
        ready();
        check(open("/tmp/overlay/file", O_WRONLY), "copying up");
    }
    if (!strcmp(kind, "detached")) {
        enter_namespaces();
        int tree = check(syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC), "open_tree");
        splice_into(check(openat(tree, "held", O_WRONLY | O_CREAT, 0644), "held"));
    }
    int file = check(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644), path);
    if (!strcmp(kind, "splice")) splice_into(file);
    if (!strcmp(kind, "trickle")) {
        int ends[2];
        pthread_t writer;
        check(pipe(ends), "pipe");
        if ((errno = pthread_create(&writer, NULL, trickle, &ends[1]))) err(1, "thread");
        ready();
        while (splice(ends[0], NULL, file, NULL, PAGE, 0) > 0) continue;
        err(1, "splice");
    }
    enter_namespaces();
    mount_fuse(!strcmp(kind, "mapped-async") ? FUSE_ASYNC_READ : 0);
    if (!strncmp(kind, "mapped", 6)) write_mapped(file);
    if (!strcmp(kind, "sendfile")) {
        int silent = open_silent();
        ready();
        check(sendfile(file, silent, NULL, PAGE), "sendfile");
    }
    errx(2, "no such kind: %s", kind);
}
