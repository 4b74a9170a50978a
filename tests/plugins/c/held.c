/*
 * Counts what a plugin has allocated: link it to one with -Wl,--wrap= for malloc, calloc (which compilers make of
 * malloc and memset) and free. COUNTS is the address of two 64-bit numbers in the process that will load it: allocations that
 * are held, and allocations there ever were.
 */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void __wrap_free(void *memory);

static _Atomic int64_t *const counts = (_Atomic int64_t *)COUNTS;

static void *counted(void *memory) {
    if (memory != NULL) {
        atomic_fetch_add(&counts[0], 1);
        atomic_fetch_add(&counts[1], 1);
    }
    return memory;
}

void *__wrap_malloc(size_t size) {
    return counted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size) {
    return counted(__real_calloc(count, size));
}

void __wrap_free(void *memory) {
    if (memory != NULL) {
        atomic_fetch_sub(&counts[0], 1);
    }
    __real_free(memory);
}
