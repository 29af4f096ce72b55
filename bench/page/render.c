/* SPDX-License-Identifier: MIT
 *
 * render.c: bench_render: what `scripts/bench` makes of the suite's JSON: a page with plots, a table of the goals, a
 * comparison of two runs. What it is not: a bench; it measures nothing.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "bench/page/compare.h"
#include "bench/page/render_page.h"

static const char usage_text[] =
    "usage: bench_render [--page FILE --plots FOLDER [--readme FILE]] RUN.json...\n"
    "       bench_render --compare OLD.json NEW.json\n"
    "Prints the goals of a run, and writes it as a page; several files are parts of one run.\n"
    "exit status: 0; 1 a benchmark failed, a file cannot be written, or there is a regression; 2 usage, or a file\n"
    "that is no run; 3 different hosts\n";

struct options {
	const char *page;
	const char *plots;
	const char *readme;
	bool compare;
};

static enum bench_status
usage(FILE *out, enum bench_status status)
{
	(void) fputs(usage_text, out);
	return status;
}

static enum bench_status
compare(char **files)
{
	struct bench_results old = { 0 }, new = { 0 };
	enum bench_status status = bench_results_load(&old, files[0], stderr);
	if (status == BENCH_STATUS_GOOD) {
		status = bench_results_load(&new, files[1], stderr);
	}
	if (status == BENCH_STATUS_GOOD) {
		status = bench_compare(&old, &new, stdout, stderr);
	}
	bench_results_free(&old);
	bench_results_free(&new);
	return status;
}

static bool
write_all(const struct options *options, const struct bench_results *results)
{
	struct bench_page page = {
		.results = results,
		.path = options->page,
		.plots = options->plots,
		.errors = stderr,
	};
	return (options->page == NULL || bench_page_write(&page)) &&
	    (options->readme == NULL || bench_page_readme(&page, options->readme));
}

static enum bench_status
render(const struct options *options, char **files, int count)
{
	struct bench_results results = { 0 };
	enum bench_status status = BENCH_STATUS_GOOD;
	for (int i = 0; i < count && status == BENCH_STATUS_GOOD; i++) {
		status = bench_results_load(&results, files[i], stderr);
	}
	if (status == BENCH_STATUS_GOOD) {
		bench_page_goals(stdout, &results);
		for (size_t i = 0; i < results.failure_count; i++) {
			(void) printf("FAILED %s: %s\n", results.failure[i].name, results.failure[i].message);
			status = BENCH_STATUS_BAD;
		}
		if (!write_all(options, &results)) {
			status = BENCH_STATUS_BAD;
		}
	}
	bench_results_free(&results);
	return status;
}

int
main(int argc, char **argv)
{
	static const struct option known[] = {
		{ "page", required_argument, NULL, 'p' },
		{ "plots", required_argument, NULL, 'd' },
		{ "readme", required_argument, NULL, 'r' },
		{ "compare", no_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct options options = { 0 };
	for (int option; (option = getopt_long(argc, argv, "h", known, NULL)) != -1;) {
		switch (option) {
		case 'p':
			options.page = optarg;
			break;
		case 'd':
			options.plots = optarg;
			break;
		case 'r':
			options.readme = optarg;
			break;
		case 'c':
			options.compare = true;
			break;
		case 'h':
			return (int) usage(stdout, BENCH_STATUS_GOOD);
		default:
			return (int) usage(stderr, BENCH_STATUS_UNREADABLE);
		}
	}
	int files = argc - optind;
	if ((options.page == NULL) != (options.plots == NULL) || (options.readme != NULL && options.page == NULL) ||
	    (options.compare ? files != 2 || options.page != NULL : files < 1)) {
		return (int) usage(stderr, BENCH_STATUS_UNREADABLE);
	}
	return (int) (options.compare ? compare(argv + optind) : render(&options, argv + optind, files));
}
