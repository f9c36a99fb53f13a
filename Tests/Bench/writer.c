// A busy writer on one filesystem: overwrites pages of a file of 64 MiB in random order, and keeps its longest write.
//
//   writer FILE
//
// Reads a line on standard input: writes the longest write since the line before, and how many writes there were, in
// nanoseconds, and goes on. Ends with its standard input.
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 16384, BURST = 16 };

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    int file = open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) return perror(argv[1]), 1;
    char page[PAGE];
    memset(page, 'x', sizeof page);
    for (int i = 0; i < PAGES; i++)
        if (pwrite(file, page, PAGE, (off_t)i * PAGE) != PAGE) return perror("pwrite"), 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ready");
    uint64_t random = (uint64_t)getpid() * 2654435761u + 1;
    int64_t longest = 0, count = 0;
    struct pollfd input = {.fd = 0, .events = POLLIN};
    for (;;) {
        for (int i = 0; i < BURST; i++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            // Not the same bytes: a page of one byte costs zram nothing.
            memcpy(page + random % (PAGE - 8), &random, sizeof random);
            int64_t begun = now();
            if (pwrite(file, page, PAGE, (off_t)(random % PAGES) * PAGE) != PAGE) return perror("pwrite"), 1;
            int64_t took = now() - begun;
            if (took > longest) longest = took;
            count++;
        }
        // A pause, so that sixteen of them leave the processors to those who freeze. It is no part of a write.
        if (poll(&input, 1, 1) > 0) {
            char line[64];
            ssize_t length = read(0, line, sizeof line);
            if (length <= 0) return 0;
            printf("%lld %lld\n", (long long)longest, (long long)count);
            longest = 0, count = 0;
        }
    }
}
