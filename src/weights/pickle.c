#include "weights/pickle.h"
#include "base/memory.h"
#include "weights/cursor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PROTOCOL 5
#define MAX_DIGITS 64 /* of a number written out */

struct values {
    struct pickle_value **items;
    size_t count, room;
};

struct pickle {
    struct cursor in;
    struct arena arena;  /* everything below */
    struct values stack; /* NULL: a mark */
    struct values memo;  /* NULL: nothing there */
    struct values references;
    struct pickle_value *root; /* NULL: not stopped yet */
    struct pickle_value none;  /* stands in after a fault */
    const char *fault;         /* the first; NULL: all is well */
    bool full;                 /* the fault is that PICKLE_LIMIT is reached */
};

static void fail(struct pickle *p, const char *fault)
{
    if (!p->fault)
        p->fault = fault;
}

static void fail_full(struct pickle *p)
{
    fail(p, "it needs more memory than is accepted");
    p->full = true;
}

/* 64 bytes are what the arena may add for alignment. */
static void *allocate(struct pickle *p, size_t bytes)
{
    size_t left = p->arena.limit - p->arena.used;
    if (left < 64 || bytes > left - 64) {
        fail_full(p);
        return NULL;
    }
    return arena_alloc(&p->arena, bytes);
}

/* Room for `more` values after the first `count`. */
static bool reserve(struct pickle *p, struct pickle_value ***items, size_t count, size_t *room,
                    size_t more)
{
    if (more <= *room - count)
        return true;
    if (more > PICKLE_LIMIT) {
        fail_full(p);
        return false;
    }
    size_t wanted = 2 * (count + more) < 8 ? 8 : 2 * (count + more);
    struct pickle_value **grown = allocate(p, wanted * sizeof *grown);
    if (!grown)
        return false;
    if (count)
        memcpy(grown, *items, count * sizeof *grown);
    *items = grown;
    *room = wanted;
    return true;
}

static void append(struct pickle *p, struct values *list, struct pickle_value *v)
{
    if (reserve(p, &list->items, list->count, &list->room, 1))
        list->items[list->count++] = v;
}

static struct pickle_value *make(struct pickle *p, enum pickle_kind kind)
{
    struct pickle_value *v = allocate(p, sizeof *v);
    if (!v)
        return &p->none;
    *v = (struct pickle_value){.kind = kind};
    return v;
}

static void push(struct pickle *p, struct pickle_value *v)
{
    append(p, &p->stack, v);
}

static struct pickle_value *top(struct pickle *p)
{
    if (p->stack.count > 0 && p->stack.items[p->stack.count - 1])
        return p->stack.items[p->stack.count - 1];
    fail(p, "the stack is empty where a value is wanted");
    return &p->none;
}

static struct pickle_value *pop(struct pickle *p)
{
    struct pickle_value *v = top(p);
    if (!p->fault)
        p->stack.count--;
    return v;
}

/* Takes the values above the last mark, and the mark; they stay in place until the next push. */
static struct values pop_mark(struct pickle *p)
{
    size_t end = p->stack.count, at = end;
    while (at > 0 && p->stack.items[at - 1])
        at--;
    if (at == 0) {
        fail(p, "a mark is missing");
        return (struct values){0};
    }
    p->stack.count = at - 1;
    return (struct values){.items = p->stack.items + at, .count = end - at};
}

static void push_integer(struct pickle *p, enum pickle_kind kind, int64_t value)
{
    struct pickle_value *v = make(p, kind);
    v->integer = value;
    push(p, v);
}

static void push_number(struct pickle *p, double value)
{
    struct pickle_value *v = make(p, PICKLE_NUMBER);
    v->number = value;
    push(p, v);
}

static void push_bytes(struct pickle *p, enum pickle_kind kind, uint64_t count)
{
    const unsigned char *bytes = cursor_take(&p->in, count);
    struct pickle_value *v = make(p, kind);
    v->text = (const char *)bytes;
    v->count = bytes ? (size_t)count : 0;
    push(p, v);
}

/* The bytes up to the next newline, which is passed over. */
static const char *take_line(struct pickle *p, size_t *length)
{
    const unsigned char *from = p->in.bytes + p->in.at;
    const unsigned char *end = memchr(from, '\n', cursor_left(&p->in));
    *length = end ? (size_t)(end - from) : 0;
    if (!end)
        p->in.failed = true;
    else
        cursor_take(&p->in, *length + 1);
    return (const char *)from;
}

/* A line with a number in it, NUL-terminated. */
static void take_digits(struct pickle *p, char digits[MAX_DIGITS])
{
    size_t length;
    const char *line = take_line(p, &length);
    digits[0] = 0;
    if (length >= MAX_DIGITS)
        return;
    memcpy(digits, line, length);
    digits[length] = 0;
}

static void push_digits(struct pickle *p)
{
    char digits[MAX_DIGITS], *end;
    take_digits(p, digits);
    errno = 0;
    long long value = strtoll(digits, &end, 10);
    if (end == digits || errno)
        push(p, make(p, PICKLE_OTHER));
    else if (strcmp(digits, "00") == 0 || strcmp(digits, "01") == 0)
        push_integer(p, PICKLE_BOOL, value);
    else
        push_integer(p, PICKLE_INTEGER, value);
}

/* An integer of so many bytes, two's complement. */
static void push_long(struct pickle *p, uint64_t count)
{
    const unsigned char *bytes = cursor_take(&p->in, count);
    if (!bytes || count > 8) {
        push(p, make(p, PICKLE_OTHER));
        return;
    }
    uint64_t value = count > 0 && bytes[count - 1] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = (size_t)count; i-- > 0;)
        value = value << 8 | bytes[i];
    push_integer(p, PICKLE_INTEGER, (int64_t)value);
}

static void push_float(struct pickle *p)
{
    const unsigned char *bytes = cursor_take(&p->in, 8);
    uint64_t bits = 0;
    double value;
    for (int i = 0; bytes && i < 8; i++)
        bits = bits << 8 | bytes[i];
    memcpy(&value, &bits, sizeof value);
    push_number(p, value);
}

static bool run_number(struct pickle *p, unsigned op)
{
    char digits[MAX_DIGITS];
    switch (op) {
    case 'N': /* NONE */
        return push(p, make(p, PICKLE_OTHER)), true;
    case 0x88: /* NEWTRUE, NEWFALSE */
    case 0x89:
        return push_integer(p, PICKLE_BOOL, op == 0x88), true;
    case 'K': /* BININT1 */
        return push_integer(p, PICKLE_INTEGER, cursor_u8(&p->in)), true;
    case 'M': /* BININT2 */
        return push_integer(p, PICKLE_INTEGER, cursor_u16(&p->in)), true;
    case 'J': /* BININT */
        return push_integer(p, PICKLE_INTEGER, (int32_t)cursor_u32(&p->in)), true;
    case 0x8a: /* LONG1 */
        return push_long(p, cursor_u8(&p->in)), true;
    case 0x8b: /* LONG4 */
        return push_long(p, cursor_u32(&p->in)), true;
    case 'G': /* BINFLOAT */
        return push_float(p), true;
    case 'I': /* INT, LONG */
    case 'L':
        return push_digits(p), true;
    case 'F': /* FLOAT */
        take_digits(p, digits);
        return push_number(p, strtod(digits, NULL)), true;
    default:
        return false;
    }
}

/* Text on a line, in quotes or not; one with escapes is Python's alone. */
static void push_line(struct pickle *p, bool quoted)
{
    size_t length;
    const char *line = take_line(p, &length);
    bool plain = !memchr(line, '\\', length);
    if (quoted && length >= 2) {
        line++;
        length -= 2;
    }
    struct pickle_value *v = make(p, plain ? PICKLE_TEXT : PICKLE_OTHER);
    v->text = line;
    v->count = plain ? length : 0;
    push(p, v);
}

static bool run_text(struct pickle *p, unsigned op)
{
    switch (op) {
    case 'X': /* BINUNICODE, BINSTRING */
    case 'T':
        return push_bytes(p, PICKLE_TEXT, cursor_u32(&p->in)), true;
    case 0x8c: /* SHORT_BINUNICODE, SHORT_BINSTRING */
    case 'U':
        return push_bytes(p, PICKLE_TEXT, cursor_u8(&p->in)), true;
    case 0x8d: /* BINUNICODE8 */
        return push_bytes(p, PICKLE_TEXT, cursor_u64(&p->in)), true;
    case 'B': /* BINBYTES */
        return push_bytes(p, PICKLE_BYTES, cursor_u32(&p->in)), true;
    case 'C': /* SHORT_BINBYTES */
        return push_bytes(p, PICKLE_BYTES, cursor_u8(&p->in)), true;
    case 0x8e: /* BINBYTES8, BYTEARRAY8 */
    case 0x96:
        return push_bytes(p, PICKLE_BYTES, cursor_u64(&p->in)), true;
    case 'V': /* UNICODE, STRING */
    case 'S':
        return push_line(p, op == 'S'), true;
    default:
        return false;
    }
}

/* Appends to a list's or a dictionary's values; what other objects do with them is not known. */
static void extend(struct pickle *p, struct pickle_value *to, struct values from, bool pairs)
{
    size_t width = pairs ? 2 : 1;
    bool takes =
        pairs ? to->kind == PICKLE_DICT || to->kind == PICKLE_OBJECT : to->kind == PICKLE_TUPLE;
    if (from.count % width)
        fail(p, "a key without value");
    if (p->fault || !takes || !from.count ||
        !reserve(p, &to->items, width * to->count, &to->room, from.count))
        return;
    memcpy(to->items + width * to->count, from.items, from.count * sizeof *from.items);
    to->count += from.count / width;
}

static void push_group(struct pickle *p, enum pickle_kind kind, struct values values)
{
    struct pickle_value *v = make(p, kind);
    extend(p, v, values, kind == PICKLE_DICT);
    push(p, v);
}

static struct values pop_several(struct pickle *p, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pop(p);
    if (p->fault)
        return (struct values){0};
    return (struct values){.items = p->stack.items + p->stack.count, .count = count};
}

static bool run_group(struct pickle *p, unsigned op)
{
    struct values values = {0};
    switch (op) {
    case ')': /* EMPTY_TUPLE, EMPTY_LIST, EMPTY_SET */
    case ']':
    case 0x8f:
        return push_group(p, PICKLE_TUPLE, values), true;
    case 't': /* TUPLE, LIST, FROZENSET */
    case 'l':
    case 0x91:
        return push_group(p, PICKLE_TUPLE, pop_mark(p)), true;
    case 0x85: /* TUPLE1, TUPLE2, TUPLE3 */
    case 0x86:
    case 0x87:
        return push_group(p, PICKLE_TUPLE, pop_several(p, op - 0x84)), true;
    case '}': /* EMPTY_DICT, DICT */
        return push_group(p, PICKLE_DICT, values), true;
    case 'd':
        return push_group(p, PICKLE_DICT, pop_mark(p)), true;
    case 'a': /* APPEND */
        values = pop_several(p, 1);
        return extend(p, top(p), values, false), true;
    case 'e': /* APPENDS, ADDITEMS */
    case 0x90:
        values = pop_mark(p);
        return extend(p, top(p), values, false), true;
    case 's': /* SETITEM, SETITEMS */
        values = pop_several(p, 2);
        return extend(p, top(p), values, true), true;
    case 'u':
        values = pop_mark(p);
        return extend(p, top(p), values, true), true;
    default:
        return false;
    }
}

static uint64_t take_index(struct pickle *p)
{
    char digits[MAX_DIGITS];
    take_digits(p, digits);
    return strtoull(digits, NULL, 10);
}

/* An index is at most the number of bytes: each put takes more than one. */
static void memo_put(struct pickle *p, uint64_t index)
{
    struct values *memo = &p->memo;
    struct pickle_value *v = top(p);
    if (index >= p->in.size)
        fail(p, "an index of the memo is too large");
    else if (index < memo->count)
        memo->items[index] = v;
    else if (reserve(p, &memo->items, memo->count, &memo->room, (size_t)index + 1 - memo->count)) {
        memset(memo->items + memo->count, 0, (index - memo->count) * sizeof *memo->items);
        memo->items[index] = v;
        memo->count = (size_t)index + 1;
    }
}

static void memo_get(struct pickle *p, uint64_t index)
{
    if (index < p->memo.count && p->memo.items[index])
        push(p, p->memo.items[index]);
    else
        fail(p, "the memo has no such index");
}

static bool run_memo(struct pickle *p, unsigned op)
{
    switch (op) {
    case 'p': /* PUT, BINPUT, LONG_BINPUT, MEMOIZE */
        return memo_put(p, take_index(p)), true;
    case 'q':
        return memo_put(p, cursor_u8(&p->in)), true;
    case 'r':
        return memo_put(p, cursor_u32(&p->in)), true;
    case 0x94:
        return memo_put(p, p->memo.count), true;
    case 'g': /* GET, BINGET, LONG_BINGET */
        return memo_get(p, take_index(p)), true;
    case 'h':
        return memo_get(p, cursor_u8(&p->in)), true;
    case 'j':
        return memo_get(p, cursor_u32(&p->in)), true;
    default:
        return false;
    }
}

static struct pickle_value *make_class(struct pickle *p, const char *module, size_t module_length,
                                       const char *name, size_t name_length)
{
    struct pickle_value *v = make(p, PICKLE_CLASS);
    char *text = allocate(p, module_length + 1 + name_length);
    if (!text)
        return v;
    memcpy(text, module, module_length);
    text[module_length] = '.';
    memcpy(text + module_length + 1, name, name_length);
    v->text = text;
    v->count = module_length + 1 + name_length;
    return v;
}

static struct pickle_value *take_class(struct pickle *p)
{
    size_t module_length, name_length;
    const char *module = take_line(p, &module_length), *name = take_line(p, &name_length);
    if (p->in.failed)
        return &p->none;
    return make_class(p, module, module_length, name, name_length);
}

static void push_stack_class(struct pickle *p)
{
    const struct pickle_value *name = pop(p), *module = pop(p);
    if (name->kind != PICKLE_TEXT || module->kind != PICKLE_TEXT)
        fail(p, "a class without name");
    else
        push(p, make_class(p, module->text, module->count, name->text, name->count));
}

static void push_object(struct pickle *p, const struct pickle_value *class,
                        struct pickle_value *args)
{
    struct pickle_value *v = make(p, PICKLE_OBJECT);
    v->class = class;
    v->args = args;
    push(p, v);
}

/* Class and arguments from the stack: REDUCE, NEWOBJ. */
static void push_made(struct pickle *p)
{
    struct pickle_value *args = pop(p);
    push_object(p, pop(p), args);
}

/* INST, whose class is in the pickle; OBJ, whose class is the first value above the mark. */
static void push_instance(struct pickle *p, const struct pickle_value *class)
{
    struct values values = pop_mark(p);
    if (!class && !values.count)
        fail(p, "a class is missing");
    else if (!class) {
        class = *values.items++;
        values.count--;
    }
    struct pickle_value *args = make(p, PICKLE_TUPLE);
    extend(p, args, values, false);
    push_object(p, class ? class : &p->none, args);
}

static void push_reference(struct pickle *p, struct pickle_value *args)
{
    struct pickle_value *v = make(p, PICKLE_REFERENCE);
    v->args = args;
    append(p, &p->references, v);
    push(p, v);
}

static void build(struct pickle *p)
{
    struct pickle_value *state = pop(p), *object = top(p);
    if (object->kind == PICKLE_OBJECT)
        object->state = state;
}

static bool run_object(struct pickle *p, unsigned op)
{
    switch (op) {
    case 'c': /* GLOBAL, STACK_GLOBAL */
        return push(p, take_class(p)), true;
    case 0x93:
        return push_stack_class(p), true;
    case 'R': /* REDUCE, NEWOBJ, NEWOBJ_EX */
    case 0x81:
        return push_made(p), true;
    case 0x92:
        pop(p); /* named arguments */
        return push_made(p), true;
    case 'i': /* INST, OBJ */
        return push_instance(p, take_class(p)), true;
    case 'o':
        return push_instance(p, NULL), true;
    case 'b': /* BUILD */
        return build(p), true;
    case 'P': /* PERSID, BINPERSID */
        push_line(p, false);
        return push_reference(p, pop(p)), true;
    case 'Q':
        return push_reference(p, pop(p)), true;
    default:
        return false;
    }
}

static bool run_control(struct pickle *p, unsigned op)
{
    switch (op) {
    case 0x80: /* PROTO */
        if (cursor_u8(&p->in) > MAX_PROTOCOL)
            fail(p, "its protocol is not known");
        return true;
    case 0x95: /* FRAME */
        return cursor_u64(&p->in), true;
    case '(': /* MARK */
        return push(p, NULL), true;
    case '0': /* POP: a mark too */
        if (p->stack.count > 0)
            p->stack.count--;
        else
            fail(p, "the stack is empty where a value is wanted");
        return true;
    case '1': /* POP_MARK */
        return pop_mark(p), true;
    case '2': /* DUP */
        return push(p, top(p)), true;
    case '.': /* STOP */
        p->root = pop(p);
        return true;
    default:
        return false;
    }
}

static int run(struct pickle *p, const char *path, struct error *err)
{
    size_t at = 0;
    unsigned op = 0;
    while (!p->root && !p->fault && !p->in.failed) {
        at = p->in.at;
        op = cursor_u8(&p->in);
        bool known = p->in.failed || run_number(p, op) || run_text(p, op) || run_group(p, op) ||
                     run_memo(p, op) || run_object(p, op) || run_control(p, op);
        if (!known)
            fail(p, "what stands there is not an instruction it may have");
    }
    if (p->in.failed)
        return error_set(err, ERROR_FORMAT, "%s: its pickle is truncated", path);
    if (p->fault)
        return error_set(err, p->full ? ERROR_LIMIT : ERROR_FORMAT,
                         "%s: bad pickle, byte %zu (0x%02x): %s", path, at, op, p->fault);
    return 0;
}

int pickle_open(struct pickle **out, const unsigned char *bytes, size_t size, size_t *used,
                const char *path, struct error *err)
{
    *out = NULL;
    struct pickle *p = memory_new(1, sizeof *p);
    if (!p)
        return error_set(err, ERROR_MEMORY, "%s: out of memory", path);
    p->in = (struct cursor){.bytes = bytes, .size = size};
    int rc = arena_init(&p->arena, PICKLE_LIMIT, err);
    if (!rc)
        rc = run(p, path, err);
    *used = p->in.at;
    if (rc)
        pickle_close(p);
    else
        *out = p;
    return rc;
}

void pickle_close(struct pickle *p)
{
    if (!p)
        return;
    arena_release(&p->arena);
    memory_free(p);
}

struct pickle_value *pickle_root(const struct pickle *p)
{
    return p->root;
}

size_t pickle_reference_count(const struct pickle *p)
{
    return p->references.count;
}

const struct pickle_value *pickle_reference(const struct pickle *p, size_t index)
{
    return p->references.items[index];
}

bool pickle_text_is(const struct pickle_value *v, enum pickle_kind kind, const char *text)
{
    return v && v->kind == kind && v->count == strlen(text) && memcmp(v->text, text, v->count) == 0;
}

struct pickle_value *pickle_get(const struct pickle_value *dict, const char *key)
{
    for (size_t i = dict->count; i-- > 0;)
        if (pickle_text_is(dict->items[2 * i], PICKLE_TEXT, key))
            return dict->items[2 * i + 1];
    return NULL;
}
