/*
 * Two processes train like one, and a step in parts like one in one piece. The program starts
 * itself under mpirun, as `PROGRAM rank WHAT ..`; skipped where there is no mpirun, or no MPI in
 * this build.
 */
#include "mouth_clips.h"
#include "tensor/device.h"
#include "tensor/ops.h"
#include "train/distributed.h"
#include "train/gradients.h"
#include "train/trainer.h"

#include <jansson.h>
#include <omp.h>
#include <sys/wait.h>

enum { EXIT_SKIP = 77 };

static char program[512];

/* Under mpirun; skips the test where that cannot be. */
static void ranks(int count, const char *what)
{
    char command[1024];
    if (system("command -v mpirun >/dev/null 2>&1")) {
        print_message("no mpirun\n");
        skip();
    }
    snprintf(command, sizeof command,
             "OMP_NUM_THREADS=1 mpirun --allow-run-as-root --oversubscribe --bind-to none -n %d "
             "%s rank %s",
             count, program, what);
    int status = system(command);
    if (WEXITSTATUS(status) == EXIT_SKIP) {
        print_message("built without MPI\n");
        skip();
    }
    assert_int_equal(status, 0);
}

/* ---- sums of gradients ---- */

/* Layers of `width` wide enough that a weight fills some buckets, and one that only the last rank
   uses. */
enum { LAYERS = 4, WIDTH = 300, ROWS = 12 };

struct net {
    struct tensor weight[LAYERS], bias[LAYERS], odd;
    struct param_list list;
};

static int net_init(struct net *n, struct error *err)
{
    struct random random;
    random_seed(&random, 3);
    param_list_init(&n->list, err);
    int rc = 0;
    for (int l = 0; !rc && l < LAYERS; l++) {
        char name[32];
        rc = parameter_init(&n->weight[l], TENSOR_SHAPE(WIDTH, WIDTH), err);
        rc = rc ? rc : parameter_init(&n->bias[l], TENSOR_SHAPE(WIDTH), err);
        for (int i = 0; !rc && i < WIDTH * WIDTH; i++)
            n->weight[l].data[i] = (float)(random_uniform(&random) - 0.5) * 0.2f;
        snprintf(name, sizeof name, "%d.weight", l);
        n->list.visitor.visit(&n->list.visitor, name, &n->weight[l], PARAM_LINEAR);
        snprintf(name, sizeof name, "%d.bias", l);
        n->list.visitor.visit(&n->list.visitor, name, &n->bias[l], PARAM_BIAS);
    }
    rc = rc ? rc : parameter_init(&n->odd, TENSOR_SHAPE(WIDTH, WIDTH), err);
    for (int i = 0; !rc && i < WIDTH * WIDTH; i++)
        n->odd.data[i] = (float)(random_uniform(&random) - 0.5) * 0.2f;
    if (!rc)
        n->list.visitor.visit(&n->list.visitor, "odd", &n->odd, PARAM_LINEAR);
    for (int64_t i = 0; !rc && i < n->list.count; i++)
        if (i != 2) /* one weight is frozen */
            rc = parameter_train(n->list.entries[i].tensor, true, err);
    return rc ? rc : n->list.code;
}

static void net_release(struct net *n)
{
    for (int l = 0; l < LAYERS; l++) {
        parameter_release(&n->weight[l]);
        parameter_release(&n->bias[l]);
    }
    parameter_release(&n->odd);
    param_list_release(&n->list);
}

static struct tensor *loss_of(struct compute *c, struct tensor *logits, int from)
{
    int32_t target[ROWS];
    float weight[ROWS];
    for (int r = 0; r < (int)tensor_rows(logits); r++) {
        target[r] = (from + r) % WIDTH;
        weight[r] = 1.0f / ROWS;
    }
    return op_cross_entropy(c, logits, target, weight, 0);
}

/* Rows [from, to) of the input through the net, the last of them also through `odd`; NULL: no rows.
 */
static struct tensor *net_loss(struct net *n, struct compute *c, int from, int to)
{
    struct tensor *x = tensor_new(c, TENSOR_SHAPE(to - from, WIDTH));
    if (from == to)
        return NULL;
    for (int r = from; r < to; r++)
        for (int i = 0; i < WIDTH; i++)
            x->data[(r - from) * WIDTH + i] = sinf((float)(r * 31 + i));
    for (int l = 0; l < LAYERS; l++)
        x = op_gelu(c, op_linear(c, x, &n->weight[l], &n->bias[l]));
    struct tensor *loss = loss_of(c, x, from);
    if (to < ROWS)
        return loss;
    struct tensor *last = op_linear(c, op_slice_rows(c, x, ROWS - 1 - from, 1), &n->odd, NULL);
    return op_weighted_sum(c, (struct tensor *[]){loss, loss_of(c, last, ROWS - 1)},
                           (float[]){1, 1}, 2);
}

/* The sum over d's ranks, in two steps so that everything is used again. */
static int net_gradients(struct net *n, struct gradients *g, struct distributed *d,
                         struct error *err)
{
    struct arena arena;
    struct tape tape = {0};
    struct compute c = {.device = &device_cpu, .arena = &arena, .tape = &tape};
    int from = ROWS * d->rank / d->ranks, to = ROWS * (d->rank + 1) / d->ranks;
    int rc = arena_init(&arena, (size_t)1 << 30, err);
    rc = rc ? rc : gradients_init(g, &n->list, d, err);
    for (int step = 0; !rc && step < 2; step++) {
        gradients_clear(g, c.device);
        gradients_watch(g, &tape);
        struct tensor *loss = net_loss(n, &c, from, to);
        gradients_expect(g, &tape);
        if (loss)
            tape_backward(&c, loss, 1);
        gradients_finish(g, &tape);
        tape_clear(&tape);
        arena_rewind(&arena, 0);
    }
    arena_release(&arena);
    return rc;
}

static int rank_sums(struct distributed *d)
{
    struct net together, alone;
    struct gradients a, b;
    struct distributed one = {.ranks = 1};
    struct error err = {0};
    double worst = 0, largest = 0;
    if (net_init(&together, &err) || net_init(&alone, &err) ||
        net_gradients(&together, &a, d, &err) || net_gradients(&alone, &b, &one, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    for (int64_t i = 0; i < a.count; i++) {
        worst = fmax(worst, fabs((double)a.values[i] - b.values[i]));
        largest = fmax(largest, fabs((double)b.values[i]));
    }
    int buckets = a.buckets;
    gradients_release(&a);
    gradients_release(&b);
    bool frozen = !together.weight[0].grad && !together.weight[0].needs_grad;
    net_release(&together);
    net_release(&alone);
    if (d->rank == 0)
        printf("%d ranks, %d buckets: gradients differ by %.1e of %.1e\n", d->ranks, buckets, worst,
               largest);
    return !(buckets > 3 && frozen && largest > 1e-3 && worst <= 1e-6 * largest);
}

static void test_gradients_of_ranks(void **state)
{
    (void)state;
    ranks(2, "sums");
}

/* More ranks than rows: some have nothing to do, and no loss. */
static void test_ranks_without_work(void **state)
{
    (void)state;
    ranks(5, "idle");
}

static int rank_idle(struct distributed *d)
{
    struct net n;
    struct gradients g;
    struct distributed mine = *d;
    struct error err = {0};
    if (net_init(&n, &err) || gradients_init(&g, &n.list, &mine, &err))
        return 1;
    g.values[g.count - 1] = (float)d->rank; /* of 5 ranks, three without any tape */
    struct tape tape = {0};
    gradients_watch(&g, &tape);
    gradients_expect(&g, &tape);
    gradients_finish(&g, &tape);
    float sum = g.values[g.count - 1];
    gradients_release(&g);
    net_release(&n);
    return sum != (float)(d->ranks * (d->ranks - 1) / 2);
}

/* ---- the small collectives ---- */

static int rank_talk(struct distributed *d)
{
    struct error err = {0};
    double sums[2] = {1, d->rank};
    char text[8] = "none";
    if (distributed_agree(d, 0, &err) != 0)
        return 1;
    if (d->rank == 1)
        error_set(&err, ERROR_FORMAT, "rank %d is out of clips", d->rank);
    int rc = distributed_agree(d, d->rank == 1 ? ERROR_FORMAT : 0, &err);
    if (rc != ERROR_FORMAT || err.code != rc || strcmp(err.message, "rank 1 is out of clips"))
        return 2;
    distributed_sum(d, sums, 2);
    if (sums[0] != 2 || sums[1] != 1)
        return 3;
    if (d->rank == 0)
        strcpy(text, "zero");
    distributed_share(d, text, sizeof text);
    return strcmp(text, "zero") ? 4 : 0;
}

static void test_ranks_agree(void **state)
{
    (void)state;
    ranks(2, "talk");
}

/* ---- training ---- */

/* All losses, nothing that is drawn slice by slice: no dropout, no batch norm in training. */
static void write_config(char path[256], const char *name, int accumulate, double load_balance)
{
    snprintf(path, 256, "%s/%s.json", clips.folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f,
            "{\"seed\": 3, \"output\": \"%s/%s\", \"cache\": \"%s/cache\", \"validation\": \"%s\","
            " \"vocabulary\": 262, \"bf16\": false, \"model\": {"
            "\"audio\": {\"d\": 48, \"layers\": 1, \"heads\": 2, \"ffn\": 96},"
            "\"video\": {\"stem\": 4, \"widths\": [4, 8, 8, 16], \"d\": 48, \"layers\": 1,"
            " \"heads\": 2, \"ffn\": 96, \"position_kernel\": 7, \"position_groups\": 4},"
            "\"projector\": {\"hidden\": 64, \"audio_rates\": [2, 4], \"video_rates\": [1, 2]},"
            "\"llm\": {\"d\": 96, \"layers\": 3, \"heads\": 2, \"kv_heads\": 1,"
            " \"head_dim\": 48, \"ffn\": 192},"
            "\"mome\": {\"routed\": 4, \"active\": 2, \"shared\": 1, \"bottleneck\": 4}},"
            "\"sources\": [{\"manifest\": \"%s\"}], \"stages\": ["
            "{\"name\": \"all\", \"train\": [\"audio\", \"projectors\", \"llm\"], \"steps\": 4,"
            " \"batch\": 5, \"accumulate\": %d, \"frame_weight\": 0.5, \"task_share\": 0.6,"
            " \"align_weight\": 0.2, \"augment\": {\"gain_db\": 6, \"whole\": 0.3}},"
            "{\"name\": \"mome\", \"train\": [\"projectors\", \"mome\"], \"steps\": 4,"
            " \"batch\": 5, \"accumulate\": %d, \"load_balance\": %g, \"copies\": 2,"
            " \"average\": 2, \"validate_every\": 3}]}",
            clips.folder, name, clips.folder, clips.manifest, clips.manifest, accumulate,
            accumulate, load_balance);
    assert_int_equal(fclose(f), 0);
}

static int train_main(const char *path, struct distributed *d)
{
    struct train_config config;
    struct train_options options = {.distributed = d};
    struct error err = {0};
    omp_set_num_threads(1);
    int rc = train_config_read(&config, path, &err);
    if (!rc) {
        rc = train(&config, &options, &err);
        train_config_release(&config);
    }
    if (rc)
        fprintf(stderr, "%s\n", err.message);
    return rc ? 1 : 0;
}

static void train_alone(const char *config)
{
    char command[1024];
    snprintf(command, sizeof command, "%s train %s", program, config);
    assert_int_equal(system(command), 0);
}

static json_t *read_log(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s/log.jsonl", clips.folder, name);
    FILE *f = fopen(path, "r");
    json_t *lines = json_array(), *line;
    assert_non_null(f);
    while ((line = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL)) != NULL)
        json_array_append_new(lines, line);
    fclose(f);
    return lines;
}

/* Every number of every line, to `most` of its size (or of 1). */
static void assert_same_logs(const char *a, const char *b, double most)
{
    json_t *x = read_log(a), *y = read_log(b), *line, *value;
    size_t i;
    const char *key;
    double worst = 0;
    assert_int_equal(json_array_size(x), 4 + 1 + 4 + 3);
    assert_int_equal(json_array_size(y), json_array_size(x));
    json_array_foreach(x, i, line)
    {
        json_object_foreach(line, key, value)
        {
            double p = json_number_value(value);
            double q = json_number_value(json_object_get(json_array_get(y, i), key));
            double off = fabs(p - q) / fmax(1, fabs(p));
            if (!strcmp(key, "clips_per_second"))
                continue;
            if (!strcmp(key, "gradient_norm")) /* no loss: may be off by ten times as much */
                off /= 10;
            if (off > most)
                print_message("line %zu: %s: %.9g and %.9g\n", i, key, p, q);
            worst = fmax(worst, off);
        }
    }
    print_message("%s and %s: logs differ by %.1e\n", a, b, worst);
    json_decref(x);
    json_decref(y);
    assert_true(worst <= most);
}

static void test_two_ranks_train_like_one(void **state)
{
    (void)state;
    char one[256], two[256], what[300];
    write_config(one, "one", 1, 0.01);
    write_config(two, "two", 1, 0.01);
    train_alone(one);
    snprintf(what, sizeof what, "train %s", two);
    ranks(2, what);
    assert_same_logs("one", "two", 1e-6);
}

/* Without L_B, whose f_n is counted part by part. */
static void test_accumulated_parts_are_one_batch(void **state)
{
    (void)state;
    char whole[256], parts[256];
    write_config(whole, "whole", 1, 0);
    write_config(parts, "parts", 3, 0);
    train_alone(whole);
    train_alone(parts);
    assert_same_logs("whole", "parts", 1e-6);
}

/* Parts and ranks together; some slices are empty. */
static void test_parts_over_ranks(void **state)
{
    (void)state;
    char alone[256], three[256], what[300];
    write_config(alone, "alone", 2, 0.01);
    write_config(three, "three", 2, 0.01);
    train_alone(alone);
    snprintf(what, sizeof what, "train %s", three);
    ranks(4, what);
    assert_same_logs("alone", "three", 1e-6);
}

static int rank_main(const char *what, const char *config)
{
    struct distributed d;
    struct error err = {0};
    int rc = distributed_open(&d, &err);
    if (rc)
        return rc == ERROR_UNSUPPORTED ? EXIT_SKIP : 1;
    rc = !strcmp(what, "sums")   ? rank_sums(&d)
         : !strcmp(what, "idle") ? rank_idle(&d)
         : !strcmp(what, "talk") ? rank_talk(&d)
                                 : train_main(config, &d);
    if (rc)
        fprintf(stderr, "rank %d: %s: failed (%d)\n", d.rank, what, rc);
    distributed_close(&d);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc > 2 && !strcmp(argv[1], "rank"))
        return rank_main(argv[2], argv[3]);
    if (argc > 2 && !strcmp(argv[1], "train"))
        return train_main(argv[2], NULL);
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (n < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranks_agree),
        cmocka_unit_test(test_gradients_of_ranks),
        cmocka_unit_test(test_ranks_without_work),
        cmocka_unit_test(test_two_ranks_train_like_one),
        cmocka_unit_test(test_accumulated_parts_are_one_batch),
        cmocka_unit_test(test_parts_over_ranks),
    };
    return cmocka_run_group_tests(tests, make_clips, remove_clips);
}
