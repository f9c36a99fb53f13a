// Tells ThreadSanitizer of the mutexes it cannot see, where suppressing what it says of them could hide true races.
//
// Swift's Mutex is an inlined atomic operation as long as nobody else holds it: ThreadSanitizer sees that. But where
// two threads meet, it calls _lockSlow and _unlockSlow in libswiftSynchronization.so, which is not compiled with
// ThreadSanitizer: so what one thread did before it unlocked seems to have no order with what the next does after it
// has locked. Preloaded into the tests, these stand in for the two, call them, and say what they mean.
//
// LD_PRELOAD has to stay in the environment: ThreadSanitizer starts the program a second time, without address space
// randomisation. So a test's program in a root of its own may complain that it does not find this; that does no harm.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>

#define LOCK_SLOW "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK_SLOW "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

typedef __attribute__((swiftcall)) void Lock(uint32_t thread, __attribute__((swift_context)) void *mutex);
typedef __attribute__((swiftcall)) void Unlock(__attribute__((swift_context)) void *mutex);

// Weak: the programs that the tests start are built without the sanitizer.
__attribute__((weak)) void __tsan_acquire(void *address);
__attribute__((weak)) void __tsan_release(void *address);

__attribute__((swiftcall)) void lock(uint32_t, __attribute__((swift_context)) void *) __asm__(LOCK_SLOW);
__attribute__((swiftcall)) void unlock(__attribute__((swift_context)) void *) __asm__(UNLOCK_SLOW);

__attribute__((swiftcall)) void lock(uint32_t thread, __attribute__((swift_context)) void *mutex) {
    ((Lock *)dlsym(RTLD_NEXT, LOCK_SLOW))(thread, mutex);
    if (__tsan_acquire) __tsan_acquire(mutex);
}

__attribute__((swiftcall)) void unlock(__attribute__((swift_context)) void *mutex) {
    if (__tsan_release) __tsan_release(mutex);
    ((Unlock *)dlsym(RTLD_NEXT, UNLOCK_SLOW))(mutex);
}
