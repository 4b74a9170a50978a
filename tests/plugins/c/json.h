/* As much JSON as a plugin needs that passes texts on: the value of a key, and whole numbers. */
#ifndef JSON_H
#define JSON_H

#include "medfocus_plugin.h"

/* The place behind the string that begins at `at`. */
static inline size_t json_behind_string(medfocus_text json, size_t at) {
    for (at++; at < json.length && json.data[at] != '"'; at++) {
        if (json.data[at] == '\\') {
            at++;
        }
    }
    return at + 1;
}

/* The place behind the value that begins at `at`: that of the comma or bracket which ends it. */
static inline size_t json_behind_value(medfocus_text json, size_t at) {
    size_t depth = 0;
    while (at < json.length) {
        switch (json.data[at]) {
        case '"':
            at = json_behind_string(json, at);
            continue;
        case '{':
        case '[':
            depth++;
            break;
        case '}':
        case ']':
            if (depth == 0) {
                return at;
            }
            depth--;
            break;
        case ',':
            if (depth == 0) {
                return at;
            }
            break;
        default:
            break;
        }
        at++;
    }
    return json.length;
}

static inline size_t json_behind_space(medfocus_text json, size_t at) {
    while (at < json.length && strchr(" \t\r\n", json.data[at]) != NULL && json.data[at] != '\0') {
        at++;
    }
    return at;
}

/* The value of a key of an object, as it is written there: a string with its quotes and escapes. Empty if there is none. */
static inline medfocus_text json_get(medfocus_text object, const char *key) {
    size_t at = json_behind_space(object, 0);
    if (at >= object.length || object.data[at] != '{') {
        return medfocus_text_of("");
    }
    for (at++; at < object.length; at++) {
        size_t name = json_behind_space(object, at);
        if (name >= object.length || object.data[name] != '"') {
            break;
        }
        size_t colon = json_behind_string(object, name);
        if (colon >= object.length) {
            break;
        }
        medfocus_text found = {object.data + name + 1, colon - name - 2};
        colon = json_behind_space(object, colon);
        if (colon >= object.length || object.data[colon] != ':') {
            break;
        }
        size_t value = json_behind_space(object, colon + 1);
        at = json_behind_value(object, value);
        if (medfocus_text_is(found, key)) {
            size_t end = at;
            while (end > value && strchr(" \t\r\n", object.data[end - 1]) != NULL) {
                end--;
            }
            return (medfocus_text){object.data + value, end - value};
        }
    }
    return medfocus_text_of("");
}

/* Whether a value is a whole number from 0 to 999999999; which. */
static inline bool json_number(medfocus_text value, size_t *number) {
    if (value.length == 0 || value.length > 9) {
        return false;
    }
    *number = 0;
    for (size_t i = 0; i < value.length; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') {
            return false;
        }
        *number = 10 * *number + (size_t)(value.data[i] - '0');
    }
    return true;
}

#endif
