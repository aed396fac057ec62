// Tells the thread sanitizer of Swift's mutexes on Linux. Linked into what it watches; see scripts/sanitize.
//
// It knows only of the order between threads that instrumented code makes. `Synchronization.Mutex` is taken and given
// back by an atomic exchange in the caller, which it sees, except when another thread holds it or waits for it: then by
// a futex in libswiftSynchronization, which is not instrumented, and every mutex that is fought over looks like a race.
//
// Each function stands before the library's own of the same name, calls that one, and says what it did: not more order
// than there is, so that no race is hidden. Whoever calls a library that has other functions is told so, and stopped.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context)) void *self

#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define TRY_LOCK "$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

SWIFT void lock(uint32_t thread, SELF) __asm__(LOCK);
SWIFT bool try_lock(SELF) __asm__(TRY_LOCK);
SWIFT void unlock(SELF) __asm__(UNLOCK);

extern void __tsan_acquire(void *address);
extern void __tsan_release(void *address);

static void *original(const char *name, void **known) {
    void *found = __atomic_load_n(known, __ATOMIC_ACQUIRE);
    if (found) return found;
    found = dlsym(RTLD_NEXT, name);
    if (!found) {
        fprintf(stderr, "sanitize: this Swift has no %s: mend scripts/sanitizer/mutex.c\n", name);
        abort();
    }
    __atomic_store_n(known, found, __ATOMIC_RELEASE);
    return found;
}

SWIFT void lock(uint32_t thread, SELF) {
    typedef SWIFT void Lock(uint32_t, SELF);
    static void *known;
    ((Lock *)original(LOCK, &known))(thread, self);
    __tsan_acquire(self);
}

SWIFT bool try_lock(SELF) {
    typedef SWIFT bool TryLock(SELF);
    static void *known;
    bool locked = ((TryLock *)original(TRY_LOCK, &known))(self);
    if (locked) __tsan_acquire(self);
    return locked;
}

SWIFT void unlock(SELF) {
    typedef SWIFT void Unlock(SELF);
    static void *known;
    __tsan_release(self);
    ((Unlock *)original(UNLOCK, &known))(self);
}
