// Counts what quiesced and its freezer allocate while anything is frozen. Preloaded into both by /etc/ld.so.preload of a
// scratch world, where the test that wants to know has made the file of the counts.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { DAEMON, FREEZER, PROCESSES };

// As AllocationCount.swift reads it.
static struct counts {
    // So far, since the processes began.
    _Atomic uint64_t total[PROCESSES];
    // 1 to have the next window counted; 2 in it, and after it.
    _Atomic uint64_t window;
    // The totals at the first FIFREEZE of the window, and at its latest FITHAW.
    _Atomic uint64_t at_first_freeze[PROCESSES], at_last_thaw[PROCESSES];
} *counts;
static int me;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

__attribute__((constructor)) static void begin(void) {
    const char *name = program_invocation_short_name;
    if (!strcmp(name, "quiesced"))
        me = DAEMON;
    else if (!strcmp(name, "quiesce-freezer"))
        me = FREEZER;
    else
        return;
    int file = open("/run/allocations", O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    void *mapping = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapping != MAP_FAILED) counts = mapping;
    close(file);
}

static void count(void) {
    if (counts) atomic_fetch_add(&counts->total[me], 1);
}

static void keep(_Atomic uint64_t totals[PROCESSES]) {
    for (int i = 0; i < PROCESSES; i++) atomic_store(&totals[i], atomic_load(&counts->total[i]));
}

void *malloc(size_t size) { return count(), __libc_malloc(size); }
void *calloc(size_t number, size_t size) { return count(), __libc_calloc(number, size); }
void *realloc(void *memory, size_t size) { return count(), __libc_realloc(memory, size); }
void *memalign(size_t alignment, size_t size) { return count(), __libc_memalign(alignment, size); }
void *aligned_alloc(size_t alignment, size_t size) { return count(), __libc_memalign(alignment, size); }
int posix_memalign(void **memory, size_t alignment, size_t size) {
    count();
    *memory = __libc_memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}

int ioctl(int descriptor, unsigned long request, ...) {
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (counts && request == FIFREEZE) {
        uint64_t armed = 1;
        if (atomic_compare_exchange_strong(&counts->window, &armed, 2)) keep(counts->at_first_freeze);
    }
    int result = (int)syscall(SYS_ioctl, descriptor, request, argument);
    if (counts && request == FITHAW) keep(counts->at_last_thaw);
    return result;
}
