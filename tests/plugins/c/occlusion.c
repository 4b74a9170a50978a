/*
 * A whole plugin in plain C: occlusion sensitivity (Zeiler and Fergus, ECCV 2014, section 4.2).
 *
 *   cc -std=c11 -O2 -shared -fPIC -I plugin-api/c/include -o libmedfocus_c_occlusion.so tests/plugins/c/occlusion.c -lm
 *
 * Each cell of the image is blackened, one after the other. With s the mean probability of the answer's tokens,
 *
 *   heat of a cell = max(0, s(image) - s(image without the cell)),
 *
 * and of all cells min-max normalised, as the method `occlusion` does.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "json.h"
#include "medfocus_plugin.h"

MEDFOCUS_MANIFEST(
    "{\"name\":\"medfocus-c-occlusion\",\"version\":\"1.0.0\",\"abi_epoch\":1,\"target\":\"" MEDFOCUS_TARGET "\","
    "\"api_version\":\"c1\",\"components\":[{\"kind\":\"method\",\"name\":\"c_occlusion\","
    "\"summary\":\"Occlusion sensitivity (Zeiler and Fergus, ECCV 2014), in plain C.\","
    "\"slots\":[{\"name\":\"model\",\"kind\":\"model\",\"required\":true,\"abilities\":[\"score\"]}],"
    "\"params\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
    "\"cells\":{\"type\":\"integer\",\"description\":\"Cells along each side of the working image.\","
    "\"default\":8,\"minimum\":1,\"maximum\":224}}}}]}")

/* Pixels along each side of a working image. */
#define SIDE 224
/* Images a call of the model. */
#define BATCH 16

struct occlusion {
    const medfocus_host *host;
    size_t cells;
};

/* What is asked about an image. The texts are JSON strings. */
struct task {
    const medfocus_tensor *image;
    medfocus_text question, answer;
};

/* The memory of a message, whose tensors are all of 224 x 224 elements. The JSON follows the tensors. */
struct parcel {
    uint64_t shape[2];
    int64_t strides[2];
    medfocus_tensor tensors[];
};

/* Gives back what is never freed. */
static void keep(void *owner) {
    (void)owner;
}

/* Writes an error: a string literal of JSON. */
static int32_t fail(medfocus_message *answer, const char *json) {
    *answer = (medfocus_message){medfocus_text_of(json), NULL, 0, NULL, keep};
    return MEDFOCUS_ERROR;
}

static int32_t out_of_memory(medfocus_message *answer) {
    return fail(answer, "{\"kind\":\"internal\",\"message\":\"there is no memory left\"}");
}

/* Memory for a message of `count` tensors and `length` bytes of JSON, both still to be written. */
static struct parcel *new_parcel(size_t count, size_t length) {
    struct parcel *parcel = malloc(sizeof *parcel + count * sizeof parcel->tensors[0] + length);
    if (parcel != NULL) {
        parcel->shape[0] = parcel->shape[1] = SIDE;
        parcel->strides[0] = SIDE;
        parcel->strides[1] = 1;
    }
    return parcel;
}

/* Where a parcel of `count` tensors has its JSON. */
static char *body_of(struct parcel *parcel, size_t count) {
    return (char *)(parcel->tensors + count);
}

/* A tensor of a parcel; `data` is of `malloc`. */
static medfocus_tensor tensor_of(const struct parcel *parcel, void *data, uint32_t dtype) {
    return (medfocus_tensor){data, dtype, 2, parcel->shape, parcel->strides, data, free};
}

/* The message that a filled parcel is. */
static medfocus_message message_of(struct parcel *parcel, size_t count, size_t length) {
    return (medfocus_message){{body_of(parcel, count), length}, parcel->tensors, count, parcel, free};
}

/* The tensor that the JSON of a message has under a key; NULL if there is none of this type and two axes. */
static const medfocus_tensor *tensor_at(const medfocus_message *message, const char *key, uint32_t dtype) {
    size_t index;
    if (!json_number(json_get(message->body, key), &index) || index >= message->tensor_count) {
        return NULL;
    }
    const medfocus_tensor *tensor = &message->tensors[index];
    return tensor->dtype == dtype && tensor->rank == 2 ? tensor : NULL;
}

/* The first pixel, row or column, of a cell. */
static size_t edge(const struct occlusion *self, size_t cell) {
    return cell * SIDE / self->cells;
}

/* A copy of the image, `number` 0, or of the image without cell `number - 1`; NULL without memory. */
static uint8_t *variant(const struct occlusion *self, const medfocus_tensor *image, size_t number) {
    uint8_t *pixels = malloc(SIDE * SIDE);
    if (pixels == NULL) {
        return NULL;
    }
    const uint8_t *from = image->data;
    for (size_t y = 0; y < SIDE; y++) {
        for (size_t x = 0; x < SIDE; x++) {
            pixels[y * SIDE + x] = from[(int64_t)y * image->strides[0] + (int64_t)x * image->strides[1]];
        }
    }
    if (number > 0) {
        size_t row = (number - 1) / self->cells, column = (number - 1) % self->cells;
        for (size_t y = edge(self, row); y < edge(self, row + 1); y++) {
            memset(pixels + y * SIDE + edge(self, column), 0, edge(self, column + 1) - edge(self, column));
        }
    }
    return pixels;
}

/* The request to score variants `first` to `first + count`; whether there was memory for it. */
static bool new_request(const struct occlusion *self, const struct task *task, size_t first, size_t count,
                        medfocus_message *request) {
    static const char format[] = "],\"question\":%.*s,\"answer\":%.*s}";
    size_t room = 16 + 8 * count + sizeof format + task->question.length + task->answer.length;
    struct parcel *parcel = new_parcel(count, room);
    if (parcel == NULL) {
        return false;
    }
    char *body = body_of(parcel, count);
    size_t length = (size_t)sprintf(body, "{\"images\":[");
    for (size_t i = 0; i < count; i++) {
        length += (size_t)sprintf(body + length, i == 0 ? "%zu" : ",%zu", i);
    }
    length += (size_t)sprintf(body + length, format, (int)task->question.length, task->question.data,
                              (int)task->answer.length, task->answer.data);
    for (size_t i = 0; i < count; i++) {
        uint8_t *pixels = variant(self, task->image, first + i);
        if (pixels == NULL) {
            *request = message_of(parcel, i, 0);
            medfocus_message_release(request);
            return false;
        }
        parcel->tensors[i] = tensor_of(parcel, pixels, MEDFOCUS_U8);
    }
    *request = message_of(parcel, count, length);
    return true;
}

/* The mean probability of the answer's tokens in each row of their log-probabilities, (count, tokens). */
static bool read_scores(const medfocus_message *reply, size_t count, double *scores) {
    const medfocus_tensor *log_probs = tensor_at(reply, "log_probs", MEDFOCUS_F32);
    if (log_probs == NULL || log_probs->shape[0] != count || log_probs->shape[1] == 0) {
        return false;
    }
    const float *values = log_probs->data;
    for (size_t i = 0; i < count; i++) {
        double sum = 0;
        for (uint64_t t = 0; t < log_probs->shape[1]; t++) {
            sum += exp(values[(int64_t)i * log_probs->strides[0] + (int64_t)t * log_probs->strides[1]]);
        }
        scores[i] = sum / (double)log_probs->shape[1];
        if (!isfinite(scores[i])) {
            return false;
        }
    }
    return true;
}

/* Scores all variants; on failure writes the error. */
static int32_t score(const struct occlusion *self, const struct task *task, size_t count, double *scores,
                     medfocus_message *answer) {
    const medfocus_host *host = self->host;
    for (size_t first = 0; first < count; first += BATCH) {
        if (host->cancelled(host->self)) {
            return fail(answer, "{\"kind\":\"cancelled\",\"message\":\"cancelled\"}");
        }
        host->progress(host->self, first, count, medfocus_text_of("images scored"));
        size_t batch = count - first < BATCH ? count - first : BATCH;
        medfocus_message request, reply;
        if (!new_request(self, task, first, batch, &request)) {
            return out_of_memory(answer);
        }
        int32_t status =
            host->call(host->self, medfocus_text_of("model"), medfocus_text_of("score"), request, &reply);
        if (status != MEDFOCUS_OK) {
            /* The model's error becomes this component's. */
            *answer = reply;
            return status;
        }
        bool read = read_scores(&reply, batch, scores + first);
        medfocus_message_release(&reply);
        if (!read) {
            return fail(answer, "{\"kind\":\"protocol\",\"message\":\"the model's scores cannot be read\"}");
        }
    }
    return MEDFOCUS_OK;
}

/* The drop of a cell's score. */
static float drop_of(const double *scores, size_t cell) {
    double drop = scores[0] - scores[1 + cell];
    return drop > 0 ? (float)drop : 0;
}

/* Paints each cell with its drop, normalised. */
static void paint(const struct occlusion *self, const double *scores, float *heat) {
    float least = drop_of(scores, 0), most = least;
    for (size_t cell = 1; cell < self->cells * self->cells; cell++) {
        float drop = drop_of(scores, cell);
        least = drop < least ? drop : least;
        most = drop > most ? drop : most;
    }
    float span = most - least + 1e-8f * most;
    for (size_t cell = 0; cell < self->cells * self->cells; cell++) {
        size_t row = cell / self->cells, column = cell % self->cells;
        float above = drop_of(scores, cell) - least;
        for (size_t y = edge(self, row); y < edge(self, row + 1); y++) {
            for (size_t x = edge(self, column); x < edge(self, column + 1); x++) {
                heat[y * SIDE + x] = above > 0 ? above / span : 0;
            }
        }
    }
}

static int32_t attribute(const struct occlusion *self, const medfocus_message *message, medfocus_message *answer) {
    struct task task = {
        tensor_at(message, "image", MEDFOCUS_U8),
        json_get(message->body, "question"),
        json_get(message->body, "answer"),
    };
    if (task.image == NULL || task.image->shape[0] != SIDE || task.image->shape[1] != SIDE) {
        return fail(answer, "{\"kind\":\"invalid\",\"message\":\"a working image has 224 x 224 pixels\"}");
    }
    if (task.question.length == 0 || task.answer.length == 0 || task.question.length + task.answer.length > INT32_MAX) {
        return fail(answer, "{\"kind\":\"protocol\",\"message\":\"the task has no question or no answer\"}");
    }
    static const char format[] = "{\"heat\":0,\"evidence\":{\"images_scored\":%zu}}";
    size_t count = 1 + self->cells * self->cells, room = sizeof format + 20;
    double *scores = malloc(count * sizeof *scores);
    float *heat = malloc(SIDE * SIDE * sizeof *heat);
    struct parcel *parcel = new_parcel(1, room);
    int32_t status = scores == NULL || heat == NULL || parcel == NULL ? out_of_memory(answer)
                                                                      : score(self, &task, count, scores, answer);
    if (status == MEDFOCUS_OK) {
        self->host->log(self->host->self, MEDFOCUS_LOG_DEBUG, medfocus_text_of("occlusion.c"),
                        medfocus_text_of("all images are scored"));
        paint(self, scores, heat);
        parcel->tensors[0] = tensor_of(parcel, heat, MEDFOCUS_F32);
        int length = snprintf(body_of(parcel, 1), room, format, count);
        *answer = message_of(parcel, 1, (size_t)length);
    } else {
        free(parcel);
        free(heat);
    }
    free(scores);
    return status;
}

static int32_t invoke(void *self, medfocus_text op, medfocus_message message, medfocus_message *answer) {
    int32_t status =
        medfocus_text_is(op, "attribute")
            ? attribute(self, &message, answer)
            : fail(answer, "{\"kind\":\"unsupported\",\"message\":\"this component has no such operation\"}");
    medfocus_message_release(&message);
    return status;
}

static void drop(void *self) {
    free(self);
}

static int32_t create(medfocus_text name, medfocus_text params, const medfocus_host *host,
                      medfocus_component *component, medfocus_message *error) {
    size_t cells;
    if (!medfocus_text_is(name, "c_occlusion")) {
        return fail(error, "{\"kind\":\"missing\",\"message\":\"this plugin has no such component\"}");
    }
    if (!json_number(json_get(params, "cells"), &cells) || cells < 1 || cells > SIDE) {
        return fail(error, "{\"kind\":\"invalid\",\"message\":\"parameter `cells` must lie in 1 to 224\",\"key\":\"cells\"}");
    }
    struct occlusion *self = malloc(sizeof *self);
    if (self == NULL) {
        return out_of_memory(error);
    }
    *self = (struct occlusion){host, cells};
    *component = (medfocus_component){self, invoke, drop};
    return MEDFOCUS_OK;
}

const medfocus_root medfocus_plugin_root_c1 = {sizeof(medfocus_root), MEDFOCUS_EPOCH, medfocus_describe, create};
