#include "eval/report.h"
#include "base/file.h"
#include "eval/report_page.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PAGE_LIMIT ((size_t)512 << 20)

/* A figure that has been drawn, for its own file. */
struct drawing {
    char name[48];
    struct plot plot;
};

enum { MAX_DRAWINGS = 3 + 3 * REPORT_MAX_MODELS };

struct page {
    struct strbuf html;
    struct report_data data;
    struct drawing *drawings; /* [MAX_DRAWINGS] */
    int drawing_count;
    int figures, tables; /* how many there are so far */
};

static const char style[] =
    "body{font:15px/1.45 \"Helvetica Neue\",Helvetica,Arial,\"Liberation Sans\",\"DejaVu Sans\","
    "sans-serif;color:#1a1a1a;background:#fff;max-width:1040px;margin:32px auto;padding:0 24px}\n"
    "h1{font-size:26px;margin:0 0 4px}\n"
    "h2{font-size:19px;margin:40px 0 8px;border-bottom:1px solid #1a1a1a;padding-bottom:3px}\n"
    "h3{font-size:15px;margin:22px 0 4px;overflow-wrap:anywhere}\n"
    "p{margin:6px 0}\n"
    "figure{margin:18px 0;break-inside:avoid}\n"
    "svg{max-width:100%;height:auto;display:block}\n"
    "figcaption,caption{font-size:13px;text-align:left;margin-top:6px;caption-side:top}\n"
    "caption{margin:0 0 5px}\n"
    ".beside{display:flex;flex-wrap:wrap;gap:8px 36px;align-items:flex-start;break-inside:avoid}\n"
    ".beside figure{max-width:100%;flex:0 1 auto}\n"
    ".beside figcaption{width:0;min-width:100%}\n"
    ".beside table{flex:0 1 auto}\n"
    ".beside caption{width:0;min-width:100%}\n"
    "table{border-collapse:collapse;font-size:13px;margin:18px 0;break-inside:auto;"
    "font-variant-numeric:tabular-nums;max-width:100%}\n"
    "tr{break-inside:avoid}\n"
    "th,td{padding:2px 10px 2px 0;text-align:left;vertical-align:baseline;overflow-wrap:anywhere}\n"
    "th{border-bottom:1px solid #1a1a1a;overflow-wrap:normal;vertical-align:bottom}\n"
    "table{border-bottom:1px solid #1a1a1a}\n"
    "caption+*{border-top:2px solid #1a1a1a}\n"
    ".n{text-align:right;white-space:nowrap;padding:2px 8px}\n"
    "th.n{white-space:normal}\n"
    ".c{text-align:center}\n"
    ".name{max-width:230px}\n"
    ".r{white-space:nowrap}\n"
    ".first td{border-top:1px solid #ccc}\n"
    ".group td{font-style:italic;border-top:1px solid #999;padding-top:5px}\n"
    ".note{font-size:13px;color:#595959}\n"
    ".clip{margin:10px 0 14px;break-inside:avoid}\n"
    ".clip p{font-size:13px;color:#595959;overflow-wrap:anywhere}\n"
    ".words{display:flex;flex-wrap:wrap;gap:6px 2px}\n"
    ".w{display:inline-flex;flex-direction:column;align-items:center;padding:1px 6px;"
    "border:1.5px solid transparent;max-width:100%;overflow-wrap:anywhere}\n"
    ".w span{min-height:21px;line-height:21px}\n"
    ".w span:nth-child(3){font-size:11px;font-weight:bold;min-height:15px;line-height:15px}\n"
    ".head{color:#595959;font-size:12px;align-items:flex-end}\n"
    ".s{border:1.5px solid #d55e00;background:#fdf0e6}\n"
    ".s span:nth-child(2){font-weight:bold}\n"
    ".d{border:1.5px dashed #0072b2}\n"
    ".d span:nth-child(1){text-decoration:line-through}\n"
    ".i{border:1.5px dotted #1a1a1a}\n"
    ".i span:nth-child(2){text-decoration:underline;font-weight:bold}\n"
    "@page{size:A4 landscape;margin:12mm}\n"
    "@media print{body{margin:0;padding:0;max-width:none;zoom:.96}h2,h3,.note{break-after:avoid}"
    "*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}\n";

static void page_begin(struct page *page, const char *title)
{
    struct strbuf *out = &page->html;
    strbuf_adds(out, "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n"
                     "<head>\n<meta charset=\"utf-8\"/>\n"
                     "<meta name=\"viewport\" content=\"width=device-width\"/>\n<title>");
    plot_escape(out, title);
    strbuf_addf(out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<h1>", style);
    plot_escape(out, title);
    strbuf_adds(out, "</h1>\n");
}

/* Ends `plot` into the page, where it was drawn; `svg_name` is its file's. */
static void add_figure(struct page *page, const struct plot *plot, const char *svg_name, int number,
                       const char *caption)
{
    struct drawing *drawing = &page->drawings[page->drawing_count++];
    if (number)
        snprintf(drawing->name, sizeof drawing->name, "%.20s-%d.svg", svg_name, number);
    else
        snprintf(drawing->name, sizeof drawing->name, "%.20s.svg", svg_name);
    drawing->plot = *plot;
    page->html.failed = page->html.failed || plot->svg.failed;
    if (page->html.failed)
        return;
    strbuf_addf(&page->html, "<figure id=\"figure-%d\">\n", ++page->figures);
    strbuf_add(&page->html, plot->svg.data, plot->svg.length);
    strbuf_addf(&page->html, "<figcaption><b>Figure %d.</b> %s</figcaption>\n</figure>\n",
                page->figures, caption);
}

static int64_t clips_of(const struct result *r)
{
    return r->row_count ? r->rows[0].clips : r->clip_count;
}

static bool same_material(const struct report_data *d)
{
    for (int i = 1; i < d->result_count; i++)
        if (strcmp(d->results[i].manifest, d->results[0].manifest) ||
            clips_of(&d->results[i]) != clips_of(&d->results[0]) ||
            d->results[i].beam != d->results[0].beam)
            return false;
    return true;
}

static void add_overview(struct page *page)
{
    const struct report_data *d = &page->data;
    struct strbuf *out = &page->html;
    strbuf_addf(out, "<p class=\"note\">%d %s, %d result %s.</p>\n", d->model_count,
                d->model_count == 1 ? "model" : "models", d->result_count,
                d->result_count == 1 ? "file" : "files");
    if (!same_material(d))
        strbuf_adds(out, "<p><b>The files differ in manifest, number of clips or beam: their error "
                         "rates are not to be compared.</b></p>\n");
    strbuf_adds(out, "<h2>Summary</h2>\n");
    report_table_rates(out, d, &page->tables);
    report_table_models(out, d, &page->tables);
    report_table_cost(out, d, &page->tables);
    report_table_files(out, d, &page->tables);
}

static void add_rates(struct page *page)
{
    const char *bars =
        "Bars: lowest and highest of a model\xe2\x80\x99s files; of a single file the 95 % "
        "bootstrap interval.";
    char caption[512];
    struct plot plot = {0};
    strbuf_adds(&page->html, "<h2>Error rates</h2>\n");
    if (report_figure_rates(&plot, &page->data)) {
        snprintf(caption, sizeof caption,
                 "Word error rate against compression rate, clean sound; below each rate the mean "
                 "number of tokens of a clip. %s",
                 bars);
        strbuf_adds(&page->html, "<div class=\"beside\">\n");
        add_figure(page, &plot, "wer-rate", 0, caption);
        report_table_spread(&page->html, &page->data, &page->tables);
        strbuf_adds(&page->html, "</div>\n");
    }
    plot = (struct plot){0};
    if (report_figure_noise(&plot, &page->data)) {
        snprintf(caption, sizeof caption,
                 "Word error rate against the signal-to-noise ratio, a panel a rate. %s", bars);
        strbuf_adds(&page->html, "<div class=\"beside\">\n");
        add_figure(page, &plot, "wer-snr", 0, caption);
        report_table_noise(&page->html, &page->data, &page->tables);
        strbuf_adds(&page->html, "</div>\n");
    } else {
        strbuf_adds(&page->html, "<p class=\"note\">The files hold no results with noise "
                                 "(<code>mome evaluate --noise FILE --snr clean,5,0,-5</code>)."
                                 "</p>\n");
    }
    plot = (struct plot){0};
    if (report_figure_cost(&plot, &page->data)) {
        snprintf(caption, sizeof caption,
                 "Word error rate against computation, clean sound; points are labelled with their "
                 "rates. Broad grey line: the frontier, where no point is both cheaper and better. "
                 "%s",
                 bars);
        strbuf_adds(&page->html, "<div class=\"beside\">\n");
        add_figure(page, &plot, "wer-tflops", 0, caption);
        report_table_frontier(&page->html, &page->data, &page->tables);
        strbuf_adds(&page->html, "</div>\n");
    }
}

/* The first file of a model that has experts; for similarity the same. */
static const struct result *with_experts(const struct report_data *d, int model)
{
    for (int i = 0; i < d->result_count; i++)
        if (d->results[i].experts && !strcmp(d->results[i].name, d->models[model].name))
            return &d->results[i];
    return NULL;
}

static const struct result *with_similarity(const struct report_data *d, int model)
{
    for (int i = 0; i < d->result_count; i++)
        if (d->results[i].similarity && !strcmp(d->results[i].name, d->models[model].name))
            return &d->results[i];
    return NULL;
}

static void add_experts(struct page *page, const struct result_experts *e, int number)
{
    char caption[640];
    struct plot plot = {0};
    if (report_figure_share(&plot, e)) {
        snprintf(caption, sizeof caption,
                 "Share of token slots that each routed expert gets, a panel a layer, one curve a "
                 "rate (%d experts, %d active). Dashed: an even share. Mean total variation "
                 "distance between two rates in one layer %.3f, between two layers at one rate "
                 "%.3f.",
                 e->routed, e->active, report_rates_apart(e, -1), report_layers_apart(e));
        add_figure(page, &plot, "experts", number, caption);
    }
    strbuf_adds(&page->html, "<div class=\"beside\">\n");
    plot = (struct plot){0};
    if (report_figure_agreement(&plot, e))
        add_figure(page, &plot, "agreement", number,
                   "Agreement of the routers between rates: overlap of the experts chosen for the "
                   "same moment of a clip, 0 to 1, mean of all layers; and the mean of all pairs "
                   "of different rates in each layer. Dashed: what choosing at random would "
                   "give.");
    if (e->share && e->condition_count)
        report_table_share(&page->html, e, &page->tables);
    strbuf_adds(&page->html, "</div>\n");
}

static void add_similarity(struct page *page, const struct result_similarity *s, int number)
{
    struct strbuf caption;
    struct plot plot = {0};
    if (!report_figure_similarity(&plot, s))
        return;
    strbuf_init(&caption, 1 << 20);
    strbuf_adds(&caption, "Cosines between the projected tokens of one clip (");
    plot_escape(&caption, s->clip);
    strbuf_adds(&caption, ") at all rates of sound and pictures, in the order of time within each. "
                          "Right: their means by rate.");
    page->html.failed = page->html.failed || caption.failed;
    add_figure(page, &plot, "similarity", number, caption.data);
    strbuf_release(&caption);
}

static void add_inside(struct page *page)
{
    const struct report_data *d = &page->data;
    bool head = false;
    for (int i = 0; i < d->model_count; i++) {
        const struct result *experts = with_experts(d, i), *alike = with_similarity(d, i);
        if (!experts && !alike)
            continue;
        strbuf_adds(&page->html, head ? "<h3>" : "<h2>Inside the models</h2>\n<h3>");
        head = true;
        plot_escape(&page->html, d->models[i].name);
        strbuf_adds(&page->html, "</h3>\n");
        if (d->models[i].files > 1) {
            strbuf_adds(&page->html, "<p class=\"note\">Of one of this model\xe2\x80\x99s files: "
                                     "experts of different trainings have nothing in common but "
                                     "their numbers.</p>\n");
        }
        if (experts)
            add_experts(page, experts->experts, i + 1);
        if (alike)
            add_similarity(page, alike->similarity, i + 1);
    }
}

static int add_clips(struct page *page, int most, struct error *err)
{
    struct strbuf clips;
    bool any = false;
    strbuf_init(&clips, PAGE_LIMIT);
    int rc = most > 0 ? report_clips(&clips, &page->data, most, &any, err) : 0;
    if (!rc && any) {
        strbuf_adds(
            &page->html,
            "<h2>Worst clips</h2>\n<p class=\"note\">Of each model\xe2\x80\x99s first "
            "file, by errors a spoken "
            "word in clean sound, at the rate where a clip went worst. Above, what was "
            "said; below, what was recognised. S in a full frame: substituted; D, dashed and "
            "struck through: deleted; I, dotted and underlined: inserted.</p>\n");
        strbuf_add(&page->html, clips.data, clips.length);
    }
    page->html.failed = page->html.failed || clips.failed;
    strbuf_release(&clips);
    return rc;
}

static int save_drawings(const struct page *page, const char *folder, struct error *err)
{
    int rc = file_make_folder(folder, err);
    for (int i = 0; i < page->drawing_count && !rc; i++) {
        const struct drawing *drawing = &page->drawings[i];
        char *path = file_join(folder, drawing->name);
        rc = path ? file_write(path, drawing->plot.svg.data, drawing->plot.svg.length, err)
                  : error_set(err, ERROR_MEMORY, "out of memory");
        memory_free(path);
    }
    return rc;
}

int report_write(const char *path, const struct result *results, int count,
                 const struct report_options *options, struct error *err)
{
    struct page page = {0};
    strbuf_init(&page.html, PAGE_LIMIT);
    page.drawings = memory_new(MAX_DRAWINGS, sizeof *page.drawings);
    int rc = page.drawings ? report_data_init(&page.data, results, count, err)
                           : error_set(err, ERROR_MEMORY, "out of memory");
    if (rc)
        goto out;
    page_begin(&page, options->title);
    add_overview(&page);
    add_rates(&page);
    add_inside(&page);
    rc = add_clips(&page, options->worst_clips, err);
    strbuf_adds(&page.html, "</body>\n</html>\n");
    if (!rc && page.html.failed)
        rc = error_set(err, ERROR_MEMORY, "%s: out of memory, or too large for a page", path);
    if (!rc && options->svg_folder)
        rc = save_drawings(&page, options->svg_folder, err);
    if (!rc)
        rc = file_write(path, page.html.data, page.html.length, err);
out:
    for (int i = 0; i < page.drawing_count; i++)
        plot_release(&page.drawings[i].plot);
    memory_free(page.drawings);
    strbuf_release(&page.html);
    return rc;
}
