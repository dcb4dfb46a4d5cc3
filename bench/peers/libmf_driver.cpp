// Drives LIBMF's own training through its C interface and prints what it took, as one JSON line.
//
// Covers: reading ratings (binary, or LIBMF's text with its own reader), training, when each iteration began and ended,
// and the RMSE on validation ratings, plain as LIBMF reports it and clipped to the scale.
// Does not cover: LIBMF itself, whose source is had from the registry at bench time and compiled beside this file
// (bench/peers/libmf_build.py), and anything about how results are compared.
//
// LIBMF gives no times. It does write a line to std::cout after each iteration, so a stream buffer of our own takes the
// time when a line begins (the iteration is done) and when it ends (the validation ratings are scored): the difference
// is left out of an iteration's time. The header's line begins when the ratings are shuffled and gridded, so set-up is
// told apart, too. What remains in an iteration besides its updates is the regularisation term of the objective, one
// pass over the factors: about a hundredth of an iteration at the Netflix shape.
//
// LIBMF can hang at its very end: its main thread lets the others go on before it tells them to stop, and if they do a
// whole pass in between, as they can when passes take milliseconds on a busy machine, everybody waits for ever. Then
// this program ends with code 75, and whoever called it tries again.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <streambuf>
#include <string>
#include <thread>
#include <vector>

#include "mf.h"

using Clock = std::chrono::steady_clock;

static double seconds_between(Clock::time_point begin, Clock::time_point end) {
    return std::chrono::duration<double>(end - begin).count();
}

struct Line {
    Clock::time_point begin, end;
    std::string text;
};

// Keeps every line written to it, with the times of its first and its last character.
class TimedLines : public std::streambuf {
public:
    std::vector<Line> lines;
    std::atomic<size_t> finished{0};

protected:
    int_type overflow(int_type character) override {
        if (character != traits_type::eof()) take(traits_type::to_char_type(character));
        return traits_type::not_eof(character);
    }

    std::streamsize xsputn(char const *text, std::streamsize length) override {
        for (std::streamsize i = 0; i < length; i++) take(text[i]);
        return length;
    }

private:
    Line current_;
    bool in_line_ = false;

    void take(char character) {
        if (!in_line_) {
            current_ = Line{Clock::now(), {}, ""};
            in_line_ = true;
        }
        if (character == '\n') {
            current_.end = Clock::now();
            lines.push_back(current_);
            finished = lines.size();
            in_line_ = false;
        } else {
            current_.text += character;
        }
    }
};

static std::map<std::string, std::string> options_of(int count, char **words) {
    std::map<std::string, std::string> options = {
        {"--rank", "64"}, {"--threads", "2"}, {"--iterations", "10"}, {"--l2", "0.06"},   {"--step", "0.1"},
        {"--bins", "26"}, {"--least", "1"},   {"--greatest", "5"},    {"--read-only", "0"}};
    for (int i = 1; i + 1 < count; i += 2) options[words[i]] = words[i + 1];
    if (!options.count("--train"))
        throw std::runtime_error(
            "usage: libmf_driver --train FILE [--validation FILE] [--rank 64] [--threads 2] [--iterations 10] "
            "[--l2 0.06] [--step 0.1] [--bins 26] [--least 1] [--greatest 5] [--read-only 0]; FILE is LIBMF's text, "
            "or ends in .bin: int32 user, int32 item, float32 rating, repeated");
    return options;
}

// The ratings of a file, and the memory that they are kept in.
struct Ratings {
    std::vector<mf::mf_node> nodes;
    mf::mf_problem problem{0, 0, 0, nullptr};
};

static void read_binary(std::string const &path, Ratings &into) {
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    if (!file) throw std::runtime_error(path + ": cannot be read");
    into.nodes.resize(static_cast<size_t>(file.tellg()) / sizeof(mf::mf_node));
    file.seekg(0);
    file.read(reinterpret_cast<char *>(into.nodes.data()),
              static_cast<std::streamsize>(into.nodes.size() * sizeof(mf::mf_node)));
    for (auto const &node : into.nodes) {
        into.problem.m = std::max(into.problem.m, node.u + 1);
        into.problem.n = std::max(into.problem.n, node.v + 1);
    }
    into.problem.nnz = static_cast<mf::mf_long>(into.nodes.size());
    into.problem.R = into.nodes.data();
}

static void read(std::string const &path, Ratings &into) {
    if (path.size() > 4 && path.substr(path.size() - 4) == ".bin")
        read_binary(path, into);
    else if (!path.empty())
        into.problem = mf::read_problem(path);
    if (!path.empty() && into.problem.nnz == 0) throw std::runtime_error(path + ": holds no ratings");
}

static double clipped_rmse(mf::mf_model const *model, mf::mf_problem const &ratings, float least, float greatest) {
    double squares = 0;
    for (mf::mf_long i = 0; i < ratings.nnz; i++) {
        auto const &node = ratings.R[i];
        double const error = node.r - std::min(std::max(mf::mf_predict(model, node.u, node.v), least), greatest);
        squares += error * error;
    }
    return std::sqrt(squares / static_cast<double>(ratings.nnz));
}

static void print_list(char const *name, std::vector<double> const &values) {
    std::printf(", \"%s\": [", name);
    for (size_t i = 0; i < values.size(); i++) std::printf("%s%.6f", i ? ", " : "", values[i]);
    std::printf("]");
}

// Take the column numbered `column` of each iteration's line: iteration, training RMSE, validation RMSE, objective.
static std::vector<double> column_of(std::vector<Line> const &lines, int column) {
    std::vector<double> values;
    for (size_t i = 1; i < lines.size(); i++) {
        std::istringstream words(lines[i].text);
        std::string word;
        for (int at = 0; at <= column; at++) words >> word;
        values.push_back(std::atof(word.c_str()));
    }
    return values;
}

static mf::mf_parameter parameters(std::map<std::string, std::string> &options) {
    mf::mf_parameter chosen = mf::mf_get_default_param();
    chosen.fun = mf::P_L2_MFR;
    chosen.k = std::atoi(options["--rank"].c_str());
    chosen.nr_threads = std::atoi(options["--threads"].c_str());
    chosen.nr_iters = std::atoi(options["--iterations"].c_str());
    chosen.nr_bins = std::atoi(options["--bins"].c_str());
    chosen.lambda_p2 = chosen.lambda_q2 = static_cast<float>(std::atof(options["--l2"].c_str()));
    chosen.eta = static_cast<float>(std::atof(options["--step"].c_str()));
    chosen.quiet = false;
    chosen.copy_data = true;  // else LIBMF undoes its shuffling at the end, which nobody needs here
    return chosen;
}

// End the process if training has not returned long after the line of its last iteration.
static void watch(TimedLines const &lines, std::atomic<bool> const &returned, size_t iterations) {
    int const pause_milliseconds = 20, stop_milliseconds = 3000;
    auto const begin = Clock::now();
    double patience_seconds = 0;
    for (int waited = 0; !returned; std::this_thread::sleep_for(std::chrono::milliseconds(pause_milliseconds))) {
        if (lines.finished <= iterations) continue;
        if (!waited) patience_seconds = 2 * seconds_between(begin, Clock::now());
        waited += pause_milliseconds;
        if (waited > stop_milliseconds && waited > 1000 * patience_seconds) {
            std::fprintf(stderr, "libmf_driver: LIBMF hangs at its end\n");
            std::_Exit(75);
        }
    }
}

// Train with `lines` in place of standard output, and print the report.
static void train(Ratings &training, Ratings &validation, std::map<std::string, std::string> &options) {
    TimedLines lines;
    std::streambuf *const usual = std::cout.rdbuf(&lines);
    mf::mf_parameter const chosen = parameters(options);
    std::atomic<bool> returned{false};
    std::thread watcher(watch, std::cref(lines), std::cref(returned), static_cast<size_t>(chosen.nr_iters));
    auto const begin = Clock::now();
    mf::mf_model *model = mf::mf_train_with_validation(&training.problem, &validation.problem, chosen);
    double const train_seconds = seconds_between(begin, Clock::now());
    returned = true;
    watcher.join();
    std::cout.rdbuf(usual);
    if (!model || lines.lines.empty()) throw std::runtime_error("LIBMF refused these parameters");

    std::vector<double> iterations, scoring;
    for (size_t i = 1; i < lines.lines.size(); i++) {
        auto const since = i == 1 ? lines.lines[0].begin : lines.lines[i - 1].end;
        iterations.push_back(seconds_between(since, lines.lines[i].begin));
        scoring.push_back(seconds_between(lines.lines[i].begin, lines.lines[i].end));
    }
    std::printf(", \"setup_seconds\": %.6f, \"train_seconds\": %.6f", seconds_between(begin, lines.lines[0].begin),
                train_seconds);
    print_list("iteration_seconds", iterations);
    print_list("scoring_seconds", scoring);
    print_list("training_rmse", column_of(lines.lines, 1));
    if (validation.problem.nnz) {
        print_list("validation_rmse", column_of(lines.lines, 2));
        std::printf(", \"rmse\": %.6f", clipped_rmse(model, validation.problem, std::atof(options["--least"].c_str()),
                                                      std::atof(options["--greatest"].c_str())));
    }
    mf::mf_destroy_model(&model);
}

int main(int count, char **words) try {
    auto options = options_of(count, words);
    Ratings training, validation;
    auto const begin = Clock::now();
    read(options["--train"], training);
    double const read_seconds = seconds_between(begin, Clock::now());
    read(options["--validation"], validation);
    std::printf("{\"ratings\": %lld, \"users\": %d, \"items\": %d, \"read_seconds\": %.6f", training.problem.nnz,
                training.problem.m, training.problem.n, read_seconds);
    if (options["--read-only"] == "0") train(training, validation, options);
    std::printf("}\n");
    return 0;
} catch (std::exception const &error) {
    std::fprintf(stderr, "libmf_driver: %s\n", error.what());
    return 1;
}
