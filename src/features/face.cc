/*
 * The only file that sees dlib (Debian's libdlib-dev, Boost licence). Nothing of dlib leaves it:
 * pictures come in as views of gray bytes, exceptions are turned into messages at the boundary.
 *
 * Detection: HOG of 8x8 cells over a pyramid of 5/6 steps, five linear filters of 80x80 pixels
 * (Dalal, Triggs 2005), so time grows with the pixels looked at: pictures are first brought to a
 * size at which a talking face is well above 80 pixels. Landmarks: 15 rounds of 500 regression
 * trees that look at pixel differences; their time does not depend on the picture's size.
 *
 * Loading either model takes dlib about a third of a second (the detector is unpacked from text,
 * the landmark file read number by number), so the first search loads both, the landmarks on a
 * thread of their own.
 */
extern "C" {
#include "base/error.h"
#include "base/file.h"
}
#include "features/face.h"

#include <dlib/image_processing.h>
#include <dlib/image_processing/frontal_face_detector.h>
#include <dlib/image_transforms.h>
#include <dlib/revision.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <future>
#include <istream>
#include <memory>
#include <mutex>
#include <streambuf>
#include <string>
#include <vector>

namespace
{

const char *const default_landmarks = "/usr/share/dlib/shape_predictor_68_face_landmarks.dat";
#define DLIB_TEXT(number) DLIB_DIGITS(number)
#define DLIB_DIGITS(number) #number

const int large_side = 640;   /* longer side at which whole pictures are searched first */
const int second_side = 1280; /* and at most, where that finds nothing */

using pixels = dlib::array2d<unsigned char>;

/* dlib's generic image interface over the caller's bytes, read-only */
struct view {
    gray_picture picture;
};
inline long num_rows(const view &v)
{
    return v.picture.height;
}
inline long num_columns(const view &v)
{
    return v.picture.width;
}
inline const void *image_data(const view &v)
{
    return v.picture.data;
}
inline long width_step(const view &v)
{
    return v.picture.stride;
}

} // namespace

namespace dlib
{
template <> struct image_traits<view> {
    typedef unsigned char pixel_type;
};
template <> struct image_traits<const view> {
    typedef unsigned char pixel_type;
};
} // namespace dlib

using predictor_pointer = std::unique_ptr<const dlib::shape_predictor>;

struct face_finder {
    std::string path;
    std::mutex detecting; /* over the detector, which holds the last picture's features */
    std::unique_ptr<dlib::frontal_face_detector> detector;
    std::mutex loads; /* over the two below */
    std::future<predictor_pointer> loading;
    predictor_pointer predictor; /* set once; then used by all threads at the same time */
};

namespace
{

struct fault { /* thrown by our own code: a message that is complete */
    struct error error;
};

/* Runs body, which may throw; what it throws becomes one message. */
template <typename Body> int guarded(struct error *err, const char *doing, Body body)
{
    try {
        return body();
    } catch (const fault &f) {
        *err = f.error;
        return err->code;
    } catch (const std::bad_alloc &) {
        return error_set(err, ERROR_MEMORY, "out of memory while %s", doing);
    } catch (const std::exception &e) {
        return error_set(err, ERROR_FORMAT, "%s: %s", doing, e.what());
    }
}

struct mapped_file : std::streambuf {
    explicit mapped_file(const char *path)
    {
        fault f = {};
        if (file_map_open(&map, path, &f.error) < 0) {
            error_prefix(&f.error, "face landmarks (package libdlib-data, or set MOME_LANDMARKS)");
            throw f;
        }
        char *start = reinterpret_cast<char *>(const_cast<unsigned char *>(map.data));
        setg(start, start, start + map.size);
    }
    ~mapped_file() override
    {
        file_map_close(&map);
    }
    file_map map = {};
};

predictor_pointer load_predictor(const std::string &path)
{
    mapped_file file(path.c_str());
    std::istream stream(&file);
    auto predictor = std::make_unique<dlib::shape_predictor>();
    fault f = {};
    try {
        dlib::deserialize(*predictor, stream);
    } catch (const dlib::serialization_error &) {
        error_set(&f.error, ERROR_FORMAT, "%s: is not a dlib landmark file", path.c_str());
        throw f;
    }
    if (predictor->num_parts() != FACE_LANDMARKS) {
        error_set(&f.error, ERROR_FORMAT, "%s: has %lu landmarks, expected %d", path.c_str(),
                  predictor->num_parts(), FACE_LANDMARKS);
        throw f;
    }
    return predictor;
}

void start_loading(face_finder *f)
{
    std::lock_guard<std::mutex> hold(f->loads);
    if (!f->predictor && !f->loading.valid())
        f->loading = std::async(std::launch::async, load_predictor, f->path);
}

/* Called under the lock `detecting`. */
dlib::frontal_face_detector &detector_of(face_finder *f)
{
    if (!f->detector) {
        start_loading(f);
        f->detector =
            std::make_unique<dlib::frontal_face_detector>(dlib::get_frontal_face_detector());
    }
    return *f->detector;
}

const dlib::shape_predictor &predictor_of(face_finder *f)
{
    std::lock_guard<std::mutex> hold(f->loads);
    if (!f->predictor)
        f->predictor = f->loading.valid() ? f->loading.get() : load_predictor(f->path);
    return *f->predictor;
}

/* Means of k x k blocks: shrinking by 2 and more must not skip pixels. */
void shrink(pixels &out, const gray_picture &in, int k)
{
    out.set_size(in.height / k, in.width / k);
    for (long y = 0; y < out.nr(); y++)
        for (long x = 0; x < out.nc(); x++) {
            unsigned sum = 0;
            for (int i = 0; i < k; i++)
                for (int j = 0; j < k; j++)
                    sum += in.data[(y * k + i) * in.stride + x * k + j];
            out[y][x] = static_cast<unsigned char>(sum / (k * k));
        }
}

/* The picture with its longer side scaled to `side` pixels. */
void scale_to(pixels &out, const gray_picture &in, int side)
{
    const double scale = static_cast<double>(side) / std::max(in.width, in.height);
    const int most = std::min(in.width, in.height); /* blocks must fit in thin pictures too */
    pixels whole;
    shrink(whole, in, std::clamp(static_cast<int>(1 / scale), 1, most));
    out.set_size(std::max(1L, std::lround(in.height * scale)),
                 std::max(1L, std::lround(in.width * scale)));
    if (out.nr() == whole.nr() && out.nc() == whole.nc())
        out.swap(whole);
    else
        dlib::resize_image(whole, out, dlib::interpolate_bilinear());
}

int detect(face_finder *f, const gray_picture &picture, int side, face_box *boxes, int max)
{
    pixels scaled;
    scale_to(scaled, picture, side);
    std::vector<dlib::rect_detection> found;
    {
        std::lock_guard<std::mutex> hold(f->detecting);
        detector_of(f)(scaled, found);
    }
    const float sx = static_cast<float>(picture.width) / scaled.nc();
    const float sy = static_cast<float>(picture.height) / scaled.nr();
    int count = 0;
    for (const auto &face : found) { /* dlib gives them best first */
        if (count == max)
            break;
        boxes[count++] = {
            (face.rect.left() + 0.5f) * sx - 0.5f, (face.rect.top() + 0.5f) * sy - 0.5f,
            (face.rect.right() + 0.5f) * sx - 0.5f, (face.rect.bottom() + 0.5f) * sy - 0.5f,
            static_cast<float>(face.detection_confidence)};
    }
    return count;
}

bool holds_pixels(const gray_picture &p)
{
    return p.data && p.width > 0 && p.height > 0 && p.stride >= p.width;
}

} // namespace

const char *face_landmark_file(void)
{
    const char *path = std::getenv("MOME_LANDMARKS");
    return path && *path ? path : default_landmarks;
}

int face_finder_open(struct face_finder **f, struct error *err)
{
    *f = nullptr;
    return guarded(err, "opening the face finder", [&] {
        auto finder = std::make_unique<face_finder>();
        finder->path = face_landmark_file();
        *f = finder.release();
        return 0;
    });
}

void face_finder_close(struct face_finder *f)
{
    delete f;
}

int face_detect_at(struct face_finder *f, struct gray_picture picture, int side,
                   struct face_box *boxes, int max, struct error *err)
{
    if (!holds_pixels(picture) || side < 1)
        return error_set(err, ERROR_USAGE, "face detection: the picture is empty");
    return guarded(err, "looking for a face", [&] { return detect(f, picture, side, boxes, max); });
}

int face_detect(struct face_finder *f, struct gray_picture picture, struct face_box *boxes, int max,
                struct error *err)
{
    const int longer = std::max(picture.width, picture.height);
    const int first = std::min(longer, large_side);
    const int found = face_detect_at(f, picture, first, boxes, max, err);
    if (found != 0)
        return found;
    return face_detect_at(f, picture, std::min(2 * first, second_side), boxes, max, err);
}

int face_landmarks(struct face_finder *f, float points[FACE_LANDMARKS][2],
                   struct gray_picture picture, const struct face_box *box, struct error *err)
{
    if (!holds_pixels(picture))
        return error_set(err, ERROR_USAGE, "face landmarks: the picture is empty");
    return guarded(err, "placing landmarks", [&] {
        const dlib::rectangle face(std::lround(box->left), std::lround(box->top),
                                   std::lround(box->right), std::lround(box->bottom));
        const dlib::full_object_detection shape = predictor_of(f)(view{picture}, face);
        for (int i = 0; i < FACE_LANDMARKS; i++) {
            points[i][0] = static_cast<float>(shape.part(i).x());
            points[i][1] = static_cast<float>(shape.part(i).y());
        }
        return 0;
    });
}

const char *face_dlib_version(void)
{
    return DLIB_TEXT(DLIB_MAJOR_VERSION) "." DLIB_TEXT(DLIB_MINOR_VERSION);
}
