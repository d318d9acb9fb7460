/*
 * What a file says besides its tensors: texts, numbers and arrays by key. Added in any order, then
 * finished (sorted, no key twice) and found by binary search. Numbers of arrays stay in the file,
 * so do the bytes of an array's strings; keys and single texts are copied.
 */
#ifndef WEIGHTS_METADATA_H
#define WEIGHTS_METADATA_H

#include "base/error.h"
#include "weights/cursor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define METADATA_LIMIT (1 << 16)       /* keys */
#define METADATA_TEXTS_LIMIT (1 << 24) /* strings of one array */

/* Types of numbers: GGUF's value types have these numbers too, 8 (string) and 9 (array) left out.
 */
enum number_type {
    NUMBER_U8,
    NUMBER_I8,
    NUMBER_U16,
    NUMBER_I16,
    NUMBER_U32,
    NUMBER_I32,
    NUMBER_F32,
    NUMBER_BOOL,
    NUMBER_U64 = 10,
    NUMBER_I64,
    NUMBER_F64,
};

int number_bytes(enum number_type type); /* 0: not one of these */
double number_read(enum number_type type, const unsigned char *bytes);

struct metadata_text {
    const char *data;
    size_t length;
};

struct weights_array {
    int64_t count;
    enum number_type type;
    const unsigned char *numbers; /* [count] of type, or */
    struct metadata_text *texts;  /* [count], owned; NULL: numbers */
};

struct metadata_entry {
    char *key;
    char *text; /* a text; else */
    bool is_number;
    double number;
    bool is_array; /* array */
    struct weights_array array;
};

struct metadata {
    const char *path; /* the file's, for messages; the owner's memory */
    struct metadata_entry *entries;
    int count, capacity;
};

void metadata_init(struct metadata *m, const char *path);
void metadata_release(struct metadata *m); /* also fine on a zeroed struct */

/* Keys: as names of tensors. */
int metadata_add_text(struct metadata *m, const char *key, size_t key_length, const char *text,
                      size_t length, struct error *err);
int metadata_add_number(struct metadata *m, const char *key, size_t key_length, double value,
                        struct error *err);
/* numbers: in the file. texts: [count] from memory_new, taken over, also when this fails. */
int metadata_add_array(struct metadata *m, const char *key, size_t key_length,
                       const struct weights_array *array, struct error *err);
int metadata_finish(struct metadata *m, struct error *err);
const struct metadata_entry *metadata_find(const struct metadata *m, const char *key); /* or NULL */

#endif
