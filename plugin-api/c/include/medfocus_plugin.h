/*
 * MedFocus plugins in plain C: all that a plugin's author includes. C11, no library.
 *
 * A plugin is a shared library that holds a manifest (MEDFOCUS_MANIFEST) and exports one symbol, `medfocus_plugin_root_c1`.
 * `docs/c.md` has a walk through a whole one.
 *
 * WHO OWNS WHAT. A message (medfocus_message) is the only thing that ever changes hands, in both directions by one rule: it
 * belongs to whoever received it, whatever the call returns. The receiver gives it back in two independent parts, each once:
 *
 *   - every tensor, by its own `release(owner)`; until then its `data` may be read. A tensor may also be sent on, in a
 *     message of one's own: then the next receiver gives it back.
 *   - the rest (the body, the array of tensors, their shapes and strides), by the message's `release(owner)`.
 *
 * medfocus_message_release does both. Every other pointer is lent: a text for the time of the call it is an argument of, the
 * host's table as medfocus_root.create says, and what `describe` returns for ever.
 *
 * THREADS. The host may call `invoke` of one component from several threads at once, and `drop` from any, once no `invoke` is
 * running. A release function may be called from any thread. The host's functions may be called from any thread, as long as
 * the component lives.
 *
 * MEMORY. What a tensor's `data` reaches is not written to until its `release` is called, by nobody: tensors are shared.
 *
 * ERRORS. A function that can fail returns MEDFOCUS_OK, or anything else and a message whose body is an error:
 *
 *   {"kind": "invalid", "message": "one sentence without a full stop", "hint": "what to do about it", "key": "a parameter"}
 *
 * `kind` is one of invalid, unsupported, missing, cancelled, protocol, internal; `hint` and `key` may be left out. No other way
 * leads out of a function: no longjmp, no C++ exception.
 *
 * This file never changes in what it has. Fields are added only to the end of the two structs that begin with `size`, and are
 * there if `size` says so.
 */
#ifndef MEDFOCUS_PLUGIN_H
#define MEDFOCUS_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The generation of the interface: `abi_epoch` in the manifest, and medfocus_root.epoch. */
#define MEDFOCUS_EPOCH 1

/* `target` in the manifest: machine, system and C library, as "x86_64-linux-gnu". */
#if defined(__x86_64__)
#define MEDFOCUS_MACHINE "x86_64"
#elif defined(__aarch64__)
#define MEDFOCUS_MACHINE "aarch64"
#else
#error "MedFocus runs on x86_64 and aarch64"
#endif
#ifdef __GLIBC__
#define MEDFOCUS_TARGET MEDFOCUS_MACHINE "-linux-gnu"
#else
#define MEDFOCUS_TARGET MEDFOCUS_MACHINE "-linux-musl"
#endif

/* What a function that can fail returns. */
#define MEDFOCUS_OK 0
#define MEDFOCUS_ERROR 1

/* Types of a tensor's elements, in the machine's byte order. */
#define MEDFOCUS_U8 0
#define MEDFOCUS_I32 1
#define MEDFOCUS_I64 2
#define MEDFOCUS_F32 3
#define MEDFOCUS_F64 4

/* The most axes of a tensor, tensors of a message, and bytes of a text. */
#define MEDFOCUS_MOST_AXES 32
#define MEDFOCUS_MOST_TENSORS 1048576
#define MEDFOCUS_MOST_BYTES 1073741824

/* Levels of the log. */
#define MEDFOCUS_LOG_ERROR 1
#define MEDFOCUS_LOG_WARN 2
#define MEDFOCUS_LOG_INFO 3
#define MEDFOCUS_LOG_DEBUG 4
#define MEDFOCUS_LOG_TRACE 5

/* UTF-8 of `length` bytes, not ended by a NUL. `data` is never NULL, unless `length` is 0. */
typedef struct medfocus_text {
    const char *data;
    size_t length;
} medfocus_text;

/*
 * A strided array in CPU memory. The element at index i lies `strides[0] * i[0] + strides[1] * i[1] + ...` elements behind
 * `data`.
 */
typedef struct medfocus_tensor {
    /* The first element, aligned for its type. Not NULL, unless an axis has length 0. */
    const void *data;
    /* MEDFOCUS_U8 and so on. */
    uint32_t dtype;
    /* How many axes; at most MEDFOCUS_MOST_AXES. */
    uint32_t rank;
    /* Elements along each axis. Not NULL, unless `rank` is 0. */
    const uint64_t *shape;
    /* Elements between neighbours along each axis, none negative. Not NULL, unless `rank` is 0. */
    const int64_t *strides;
    /* For `release` alone; may be NULL. */
    void *owner;
    /* Gives `data` back. Never NULL. */
    void (*release)(void *owner);
} medfocus_tensor;

/* JSON and the tensors it refers to: where the JSON of a request or an answer has a tensor, it holds its index in `tensors`. */
typedef struct medfocus_message {
    /* JSON, never empty; at most MEDFOCUS_MOST_BYTES. */
    medfocus_text body;
    /* Not NULL, unless `tensor_count` is 0. */
    const medfocus_tensor *tensors;
    /* At most MEDFOCUS_MOST_TENSORS. */
    size_t tensor_count;
    /* For `release` alone; may be NULL. */
    void *owner;
    /* Gives back the body, the array of tensors, and their shapes and strides. Never NULL. */
    void (*release)(void *owner);
} medfocus_message;

/* What the host offers a component. No function is NULL; the first argument is `self`. */
typedef struct medfocus_host {
    /* sizeof(medfocus_host) of the host's version of this file. */
    uint32_t size;
    /* MEDFOCUS_EPOCH of the host's version of this file. */
    uint32_t epoch;
    void *self;
    /* A line in the host's log. `level` is MEDFOCUS_LOG_ERROR and so on; `target` says where, as a file's name. */
    void (*log)(void *self, uint32_t level, medfocus_text target, medfocus_text line);
    /* Shows that `done` of `total` steps are done (0: unknown), with a short note. */
    void (*progress)(void *self, uint64_t done, uint64_t total, medfocus_text note);
    /* Whether the user asked to stop. Then return an error of kind `cancelled`. */
    bool (*cancelled)(void *self);
    /*
     * Performs operation `op` of what fills `slot`. `message` is taken. `answer` is never NULL, and is written in any case:
     * with MEDFOCUS_OK the answer, else an error; it belongs to the caller.
     *
     * The empty slot is the host itself; its operation "filled" says of a slot (a JSON string) whether something fills it (a
     * JSON boolean).
     */
    int32_t (*call)(void *self, medfocus_text slot, medfocus_text op, medfocus_message message, medfocus_message *answer);
} medfocus_host;

/* One component. */
typedef struct medfocus_component {
    /* The first argument of both functions; may be NULL. */
    void *self;
    /*
     * Performs operation `op`, as "attribute" of a method. `message` is taken. `answer` is never NULL, and is written in any
     * case: with MEDFOCUS_OK the answer, else an error; it belongs to the host. Never NULL.
     */
    int32_t (*invoke)(void *self, medfocus_text op, medfocus_message message, medfocus_message *answer);
    /* Ends the component; the last call. Never NULL. */
    void (*drop)(void *self);
} medfocus_component;

/* What a plugin exports. No function is NULL. */
typedef struct medfocus_root {
    /* sizeof(medfocus_root) */
    uint32_t size;
    /* MEDFOCUS_EPOCH */
    uint32_t epoch;
    /* The manifest, byte for byte as in the library's section. */
    medfocus_text (*describe)(void);
    /*
     * Makes the component of this name. `params` is a JSON object: the parameters of the manifest, defaults included, checked
     * against the types, choices and bounds it states.
     *
     * `host` is never NULL and is lent until the component's `drop` has returned, or `create` itself if it fails.
     *
     * With MEDFOCUS_OK `component` is written, else `error`. Neither is NULL.
     */
    int32_t (*create)(medfocus_text name, medfocus_text params, const medfocus_host *host, medfocus_component *component,
                      medfocus_message *error);
} medfocus_root;

/* The symbol that the host looks for. */
extern __attribute__((visibility("default"))) const medfocus_root medfocus_plugin_root_c1;

/* A string literal as an array without its NUL, which newer compilers must be told is meant. */
#ifdef __has_attribute
#if __has_attribute(nonstring)
#define MEDFOCUS_NOT_A_STRING __attribute__((nonstring))
#endif
#endif
#ifndef MEDFOCUS_NOT_A_STRING
#define MEDFOCUS_NOT_A_STRING
#endif

/*
 * Places the manifest, a string literal of JSON, where the host reads it without running anything, and defines
 * `medfocus_describe`, which returns it. Write it once in a library:
 *
 *   {"name": "...", "version": "...", "abi_epoch": 1, "target": MEDFOCUS_TARGET, "api_version": "c1", "components": [...]}
 */
#define MEDFOCUS_MANIFEST(json)                                                                         \
    static const char medfocus_manifest[sizeof(json) - 1]                                               \
        __attribute__((section(".medfocus.manifest"), used)) MEDFOCUS_NOT_A_STRING = json;              \
    static inline medfocus_text medfocus_describe(void) {                                               \
        return (medfocus_text){medfocus_manifest, sizeof medfocus_manifest};                            \
    }

/* A C string as a text. */
static inline medfocus_text medfocus_text_of(const char *string) {
    return (medfocus_text){string, strlen(string)};
}

/* Whether a text is this C string. */
static inline bool medfocus_text_is(medfocus_text text, const char *string) {
    size_t length = strlen(string);
    return text.length == length && (length == 0 || memcmp(text.data, string, length) == 0);
}

/* Gives a received message back, tensors included. */
static inline void medfocus_message_release(const medfocus_message *message) {
    for (size_t i = 0; i < message->tensor_count; i++) {
        message->tensors[i].release(message->tensors[i].owner);
    }
    message->release(message->owner);
}

#endif
