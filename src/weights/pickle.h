/*
 * Python's pickles, protocols 0 to 5, read as data. A pickle is a program for a machine with a
 * stack and a memo; this machine knows the opcodes that build numbers, texts, tuples, lists, sets
 * and dictionaries. Where Python would import a class or call it, an inert object is made that
 * only remembers what it was asked for: nothing is imported, called or run, ever.
 *
 *     GLOBAL "module" "name"      PICKLE_CLASS, text "module.name"
 *     REDUCE, NEWOBJ, INST, OBJ   PICKLE_OBJECT with class and args
 *     BUILD                       its state
 *     SETITEM(S) on an object     its items, key and value in turn, as a dictionary's
 *     PERSID, BINPERSID           PICKLE_REFERENCE with args, what it refers to
 *
 * Refused: extension registry (EXT*), buffers outside the pickle, what is not an opcode. Bounds:
 * every value, stack and memo together in PICKLE_LIMIT bytes. Values may form cycles and share
 * parts: who walks them must expect that. Source: CPython's Lib/pickletools.py.
 */
#ifndef WEIGHTS_PICKLE_H
#define WEIGHTS_PICKLE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PICKLE_LIMIT ((size_t)512 << 20)

enum pickle_kind {
    PICKLE_OTHER, /* None, an integer beyond 64 bits, what only Python can spell out */
    PICKLE_BOOL,
    PICKLE_INTEGER,
    PICKLE_NUMBER,
    PICKLE_TEXT, /* bytes of Python 2 too */
    PICKLE_BYTES,
    PICKLE_TUPLE, /* lists and sets too */
    PICKLE_DICT,
    PICKLE_CLASS,
    PICKLE_OBJECT,
    PICKLE_REFERENCE,
};

struct pickle_value {
    enum pickle_kind kind;
    unsigned marks; /* of who walks */
    union {
        int64_t integer; /* also of a bool: 0, 1 */
        double number;
        const char *text;            /* [count], not NUL-terminated, in the pickle's bytes */
        struct pickle_value **items; /* [count] of a tuple; [2 count]: keys and values */
    };
    size_t count, room;
    const struct pickle_value *class;
    struct pickle_value *args, *state; /* NULL: none */
};

struct pickle;

/* Reads one pickle, which takes *used of the `size` bytes. They are the caller's and outlive it;
   `path` is for messages. */
int pickle_open(struct pickle **p, const unsigned char *bytes, size_t size, size_t *used,
                const char *path, struct error *err);
void pickle_close(struct pickle *p); /* NULL is fine */
struct pickle_value *pickle_root(const struct pickle *p);
/* The pickle's references, in the order of their making. */
size_t pickle_reference_count(const struct pickle *p);
const struct pickle_value *pickle_reference(const struct pickle *p, size_t index);

bool pickle_text_is(const struct pickle_value *v, enum pickle_kind kind, const char *text);
/* The value of a text key in a dictionary; NULL: none. */
struct pickle_value *pickle_get(const struct pickle_value *dict, const char *key);

#endif
