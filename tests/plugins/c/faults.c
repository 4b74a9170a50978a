/*
 * A plugin that breaks the header's rules, for tests: its method in the way its parameter `fault` says, its root in the ways
 * that EPOCH, SIZE, DESCRIBE and CREATE say where the compiler is given them.
 */
#include <stdlib.h>

#include "json.h"
#include "medfocus_plugin.h"

MEDFOCUS_MANIFEST(
    "{\"name\":\"medfocus-c-faults\",\"version\":\"1.0.0\",\"abi_epoch\":1,\"target\":\"" MEDFOCUS_TARGET "\","
    "\"api_version\":\"c1\",\"components\":[{\"kind\":\"method\",\"name\":\"c_faults\",\"summary\":\"Breaks the rules.\","
    "\"slots\":[{\"name\":\"model\",\"kind\":\"model\",\"required\":false}],\"params\":{\"type\":\"object\","
    "\"properties\":{\"fault\":{\"type\":\"string\",\"description\":\"Which rule.\",\"default\":\"\"}}}}]}")

struct faults {
    const medfocus_host *host;
    char fault[32];
};

struct answer {
    uint64_t shape[64];
    int64_t strides[64];
    medfocus_tensor tensors[2];
    float data[4];
};

static void keep(void *owner) {
    (void)owner;
}

static int32_t is(const struct faults *self, const char *fault) {
    return strcmp(self->fault, fault) == 0;
}

/* A message without tensors. */
static medfocus_message plain(const char *json) {
    return (medfocus_message){medfocus_text_of(json), NULL, 0, NULL, keep};
}

/* An answer with two maps of 2 x 2, the second of them broken as `fault` says. */
static int32_t broken_tensor(const struct faults *self, medfocus_message *message) {
    struct answer *answer = malloc(sizeof *answer);
    float *data = malloc(sizeof answer->data);
    if (answer == NULL || data == NULL) {
        abort();
    }
    memset(answer, 0, sizeof *answer);
    memset(data, 0, sizeof answer->data);
    answer->shape[0] = answer->shape[1] = answer->strides[0] = 2;
    answer->strides[1] = 1;
    medfocus_tensor sound = {answer->data, MEDFOCUS_F32, 2, answer->shape, answer->strides, NULL, keep};
    medfocus_tensor broken = {data, MEDFOCUS_F32, 2, answer->shape, answer->strides, data, free};
    *message = (medfocus_message){medfocus_text_of("{\"heat\":1}"), answer->tensors, 2, answer, free};

    if (is(self, "dtype")) {
        broken.dtype = 5;
    } else if (is(self, "far dtype")) {
        broken.dtype = 256 + MEDFOCUS_F32;
    } else if (is(self, "overflow")) {
        answer->shape[0] = answer->shape[1] = (uint64_t)1 << 40;
        answer->strides[0] = (int64_t)1 << 40;
    } else if (is(self, "wide")) {
        answer->strides[0] = INT64_MAX;
    } else if (is(self, "backwards")) {
        answer->strides[0] = -2;
    } else if (is(self, "null data")) {
        broken.data = NULL;
    } else if (is(self, "unaligned")) {
        broken.data = (const char *)data + 1;
    } else if (is(self, "null shape")) {
        broken.shape = NULL;
    } else if (is(self, "null strides")) {
        broken.strides = NULL;
    } else if (is(self, "rank")) {
        broken.rank = 33;
    } else if (is(self, "small map")) {
        /* Sound, but no heat map. */
    } else if (is(self, "null tensors")) {
        message->tensors = NULL;
        free(data);
    } else if (is(self, "many tensors")) {
        message->tensor_count = SIZE_MAX;
        free(data);
    } else if (is(self, "index")) {
        message->body = medfocus_text_of("{\"heat\":2}");
    } else if (is(self, "not json")) {
        message->body = medfocus_text_of("{\"heat\":");
    } else if (is(self, "not utf-8")) {
        message->body = medfocus_text_of("{\"heat\":null,\"warnings\":[\"\xff\"]}");
    } else if (is(self, "empty body")) {
        message->body.length = 0;
    } else if (is(self, "null body")) {
        message->body.data = NULL;
    } else if (is(self, "long body")) {
        message->body.length = SIZE_MAX;
    } else if (is(self, "kept tensor")) {
        broken.release = NULL;
        free(data);
    } else if (is(self, "kept message")) {
        message->release = NULL;
        free(data);
        free(answer);
        return MEDFOCUS_OK;
    } else {
        abort();
    }
    answer->tensors[0] = sound;
    answer->tensors[1] = broken;
    return MEDFOCUS_OK;
}

/* Calls of the host that break the rules; what comes back is passed on. */
static int32_t broken_call(const struct faults *self, medfocus_message *answer) {
    const medfocus_host *host = self->host;
    medfocus_text model = medfocus_text_of("model"), info = medfocus_text_of("info");
    medfocus_text latin = medfocus_text_of("mod\xe8le"), null = {NULL, 5};
    host->log(host->self, MEDFOCUS_LOG_WARN, medfocus_text_of("faults.c"), latin);
    host->log(NULL, MEDFOCUS_LOG_WARN, null, null);
    host->progress(host->self, 1, 2, null);
    if (is(self, "call with nothing")) {
        medfocus_message nothing = {{NULL, 0}, NULL, 0, NULL, NULL};
        return host->call(host->self, model, info, nothing, answer);
    }
    if (is(self, "call of latin-1")) {
        return host->call(host->self, latin, info, plain("null"), answer);
    }
    if (is(self, "call of null")) {
        return host->call(host->self, model, null, plain("null"), answer);
    }
    if (is(self, "call of nobody")) {
        return host->call(NULL, model, info, plain("null"), answer);
    }
    if (is(self, "call for nothing") && host->call(host->self, model, info, plain("null"), NULL) != MEDFOCUS_OK) {
        *answer = plain("{\"kind\":\"invalid\",\"message\":\"the host refuses to answer nowhere\"}");
        return MEDFOCUS_ERROR;
    }
    abort();
}

/* Sends the task's image on as a mask. */
static int32_t echo(const medfocus_message *message, medfocus_message *answer) {
    size_t image;
    struct answer *mask = malloc(sizeof *mask);
    if (mask == NULL || !json_number(json_get(message->body, "image"), &image) || image >= message->tensor_count) {
        abort();
    }
    for (size_t i = 0; i < message->tensor_count; i++) {
        const medfocus_tensor *tensor = &message->tensors[i];
        if (i != image) {
            tensor->release(tensor->owner);
            continue;
        }
        mask->tensors[0] = *tensor;
        /* The received ones go with the message. */
        memcpy(mask->shape, tensor->shape, tensor->rank * sizeof *mask->shape);
        memcpy(mask->strides, tensor->strides, tensor->rank * sizeof *mask->strides);
        mask->tensors[0].shape = mask->shape;
        mask->tensors[0].strides = mask->strides;
    }
    message->release(message->owner);
    *answer = (medfocus_message){medfocus_text_of("{\"mask\":0}"), mask->tensors, 1, mask, free};
    return MEDFOCUS_OK;
}

static int32_t invoke(void *component, medfocus_text op, medfocus_message message, medfocus_message *answer) {
    (void)op;
    const struct faults *self = component;
    if (is(self, "echo")) {
        return echo(&message, answer);
    }
    medfocus_message_release(&message);
    if (is(self, "wait")) {
        for (uint64_t step = 0; !self->host->cancelled(self->host->self); step++) {
            self->host->progress(self->host->self, step, 0, medfocus_text_of("waiting"));
        }
        *answer = plain("{\"kind\":\"cancelled\",\"message\":\"put away half read\"}");
        return MEDFOCUS_ERROR;
    }
    if (is(self, "segmentation")) {
        int *volatile nowhere = NULL;
        *nowhere = 1;
    }
    if (is(self, "exit at once")) {
        _Exit(0);
    }
    if (is(self, "no answer")) {
        return MEDFOCUS_OK;
    }
    if (is(self, "no error")) {
        return MEDFOCUS_ERROR;
    }
    if (is(self, "error")) {
        *answer = plain("{\"kind\":\"unsupported\",\"message\":\"this film is too dark\",\"hint\":\"expose it again\"}");
        return -7;
    }
    if (is(self, "unreadable error")) {
        *answer = plain("\"help\"");
        return MEDFOCUS_ERROR;
    }
    if (strncmp(self->fault, "call", 4) == 0) {
        return broken_call(self, answer);
    }
    return broken_tensor(self, answer);
}

static void drop(void *self) {
    free(self);
}

static inline int32_t create(medfocus_text name, medfocus_text params, const medfocus_host *host,
                             medfocus_component *component, medfocus_message *error) {
    (void)name;
    medfocus_text fault = json_get(params, "fault");
    if (medfocus_text_is(fault, "\"create\"")) {
        *error = plain("{\"kind\":\"invalid\",\"message\":\"parameter `fault` asks for it\",\"key\":\"fault\"}");
        return MEDFOCUS_ERROR;
    }
    if (medfocus_text_is(fault, "\"create in silence\"")) {
        return MEDFOCUS_ERROR;
    }
    if (medfocus_text_is(fault, "\"create nothing\"")) {
        return MEDFOCUS_OK;
    }
    struct faults *self = malloc(sizeof *self);
    if (self == NULL || fault.length < 2 || fault.length >= sizeof self->fault) {
        abort();
    }
    self->host = host;
    memcpy(self->fault, fault.data + 1, fault.length - 2);
    self->fault[fault.length - 2] = '\0';
    *component = (medfocus_component){self, invoke, drop};
    return MEDFOCUS_OK;
}

/* Another manifest than the library's section holds. */
static inline medfocus_text lie(void) {
    return medfocus_text_of("{\"name\":\"honest\"}");
}

static inline medfocus_text nothing(void) {
    return (medfocus_text){NULL, 12};
}

#ifndef EPOCH
#define EPOCH MEDFOCUS_EPOCH
#endif
#ifndef SIZE
#define SIZE sizeof(medfocus_root)
#endif
#ifndef DESCRIBE
#define DESCRIBE medfocus_describe
#endif
#ifndef CREATE
#define CREATE create
#endif

const medfocus_root medfocus_plugin_root_c1 = {SIZE, EPOCH, DESCRIBE, CREATE};
