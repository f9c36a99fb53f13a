// What no agent can be quicker than: everything open, a thread for each filesystem, syncfs in parallel and then FIFREEZE
// in parallel, level by level.
//
//   lower-bound [--expedited] MOUNTPOINT... [- MOUNTPOINT...]...
//
// With --expedited it has the kernel hurry with grace periods of RCU while it freezes.
//
// What stands before a dash is stored on what stands behind it: it is frozen before, and thawed after that.
//
// Reads "freeze" and "thaw", a line each, and answers each with how long it took, in nanoseconds: of freeze first from
// the order to the answer, then from the first FIFREEZE to the answer.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static pthread_barrier_t turn;
static enum { SYNC, FREEZE, THAW } order;
static int level, levels = 1, failed;

struct target {
    int descriptor, level;
};

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void *serve(void *argument) {
    struct target *target = argument;
    for (;;) {
        pthread_barrier_wait(&turn);
        int result = 0;
        if (order == SYNC)
            result = syncfs(target->descriptor);
        else if (level == target->level)
            result = ioctl(target->descriptor, order == FREEZE ? FIFREEZE : FITHAW, 0);
        if (result) failed = errno;
        pthread_barrier_wait(&turn);
    }
    return NULL;
}

static void have_done(int what) {
    order = what;
    pthread_barrier_wait(&turn);
    pthread_barrier_wait(&turn);
}

static void expedite(int setting, const char *value) {
    if (setting >= 0 && pwrite(setting, value, 1, 0) != 1) failed = errno;
}

int main(int argc, char **argv) {
    int setting = -1;
    if (argc > 1 && !strcmp(argv[1], "--expedited")) {
        setting = open("/sys/kernel/rcu_expedited", O_WRONLY | O_CLOEXEC);
        if (setting < 0) return perror("rcu_expedited"), 1;
        argc--, argv++;
    }
    int dashes = 0;
    for (int i = 1; i < argc; i++) dashes += !strcmp(argv[i], "-");
    pthread_barrier_init(&turn, NULL, argc - dashes);
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "-")) {
            levels++;
            continue;
        }
        struct target *target = malloc(sizeof *target);
        pthread_t thread;
        if (!target) return 1;
        target->level = levels - 1;
        target->descriptor = open(argv[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (target->descriptor < 0 || pthread_create(&thread, NULL, serve, target)) return perror(argv[i]), 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ready");
    char line[16];
    while (fgets(line, sizeof line, stdin)) {
        int64_t begun = now(), window = begun;
        if (!strcmp(line, "freeze\n")) {
            have_done(SYNC);
            expedite(setting, "1");
            window = now();
            for (level = 0; level < levels; level++) have_done(FREEZE);
            expedite(setting, "0");
        } else {
            for (level = levels - 1; level >= 0; level--) have_done(THAW);
        }
        int64_t ended = now();
        if (failed) return fprintf(stderr, "%s: %s", line, strerror(failed)), 1;
        printf("%lld %lld\n", (long long)(ended - begun), (long long)(ended - window));
    }
    return 0;
}
