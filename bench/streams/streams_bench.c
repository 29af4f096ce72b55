/* SPDX-License-Identifier: MIT
 *
 * streams_bench.c: echo servers over loopback TCP beside one another: pinwheel's streams on both pollers, servers
 * written by hand on epoll and on io_uring, libuv, and Debian's NNG.
 *
 * What it is: for each figure several short rounds. In a round each server runs once, in a fresh process on CPU 0, the
 * order turned by one from round to round; one client, this process on CPU 1, is the same for all. A round gives
 * ratios, pinwheel's to each server's of the same round. Said are the medians over the rounds, and of ratios the least
 * and the largest. What it is not: a judge. The exit status says only whether every byte came back.
 *
 *   S1  one connection, both ends sleep (the client in recv)
 *   S2  one connection, both ends spin
 *   S3  100 connections, S4 1,000 connections: the client waits in epoll and answers each echo with the next message
 *   S5  as many idle connections as there are descriptors, each with a receive under way that has a deadline (the
 *       servers by hand have none): resident bytes for each
 *
 * Messages have 64 bytes, and each byte that comes back is compared. Processor time is that of the server's process,
 * all threads, user and system, between the first and the last message that are counted. The kernel delivers a loopback
 * segment in the sender's time, so most of it is TCP's.
 *
 * --against PROGRAM adds the pinwheel servers of another build of this program: before and after, interleaved.
 */
#include "bench/streams/streams.h"

#include <argp.h>
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/command/report.h"

#define NS_PER_S UINT64_C(1000000000)
#define SAMPLES_MAX (1u << 21)
#define ROUNDS_MAX 99u
#define EVENTS 256
#define SILENCE_S 10 /* an echo that has not come by then never will */
#define SPARE_DESCRIPTORS 64
#define CONNECT_BATCH 100u
#define PORTS_EACH 2000u /* connections from one local address: the kernel finds a free port quickly */
#define CONNECTIONS_MAX 1000000u

enum {
	EXIT_LOST = 1,
	EXIT_USAGE = 2,
	EXIT_ENVIRONMENT = 3,
};

/* ---- servers and figures */

struct server {
	const char *title;
	const char *word; /* --serve WORD */
	streams_serve serve;
	bool ours;
	bool raw;
	bool can_spin;
	bool other; /* of the program that --against names */
};

static const struct server servers[] = {
	{ "pinwheel, io_uring", "pinwheel-uring", streams_serve_pinwheel_uring, true, false, true, false },
	{ "pinwheel, epoll", "pinwheel-epoll", streams_serve_pinwheel_epoll, true, false, true, false },
	{ "raw io_uring", "raw-uring", streams_serve_raw_uring, false, true, true, false },
	{ "raw epoll", "raw-epoll", streams_serve_raw_epoll, false, true, true, false },
	{ "libuv", "libuv", streams_serve_libuv, false, false, false, false },
	{ "NNG's streams", "nng", streams_serve_nng, false, false, false, false },
	{ "other, io_uring", "pinwheel-uring", NULL, false, false, true, true },
	{ "other, epoll", "pinwheel-epoll", NULL, false, false, true, true },
};
#define SERVERS (sizeof(servers) / sizeof(servers[0]))
#define JUDGED 0u /* the server whose ratios are said */

static const struct figure {
	const char *name;
	const char *title;
	unsigned connections; /* 0: all that there are descriptors for */
	bool spin;
	bool idle;
} figures[] = {
	{ "S1", "one connection, both ends sleep", 1, false, false },
	{ "S2", "one connection, both ends spin", 1, true, false },
	{ "S3", "100 connections", 100, false, false },
	{ "S4", "1,000 connections", 1000, false, false },
	{ "S5", "idle connections", 0, false, true },
};
#define FIGURES (sizeof(figures) / sizeof(figures[0]))

/* What one run of one server gave. */
struct outcome {
	bool valid;
	double p50_us;
	double p99_us;
	double p999_us;
	double rate;    /* messages/s */
	double cpu_us;  /* of the server, for each message */
	double bytes;   /* resident, for each connection */
	unsigned count; /* connections */
};

static struct {
	unsigned rounds;
	uint64_t window_ns;
	const char *json;
	const char *against;
	const char *serve;
	bool only[FIGURES];
	bool some;
	const char *peers; /* words, each between commas; NULL: all */
	struct streams_order order;
} options = { .rounds = 9, .window_ns = NS_PER_S * 4 / 10 };

static const char *self; /* this program */
static struct outcome results[FIGURES][SERVERS][ROUNDS_MAX];

static bool
takes_part(const struct figure *figure, const struct server *server)
{
	char word[40];

	if ((server->other && options.against == NULL) || (figure->spin && !server->can_spin)) {
		return false;
	}
	(void) snprintf(word, sizeof(word), ",%s%s,", server->other ? "other-" : "", server->word);
	return options.peers == NULL || strstr(options.peers, word) != NULL;
}

static void
die(const char *what)
{
	(void) fprintf(stderr, "streams_bench: %s: %s\n", what, strerror(errno));
	exit(EXIT_ENVIRONMENT);
}

static uint64_t
clock_ns(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t) != 0) {
		die("clock_gettime");
	}
	return (uint64_t) t.tv_sec * NS_PER_S + (uint64_t) t.tv_nsec;
}

static void
pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0) {
		die("this bench needs CPU 0 and CPU 1");
	}
}

static void
raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void) setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* ---- the server's process */

int
streams_listen(int *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *) &address, size) != 0 || listen(fd, SOMAXCONN) != 0 ||
	    getsockname(fd, (struct sockaddr *) &address, &size) != 0) {
		return -1;
	}
	*port = ntohs(address.sin_port);
	return fd;
}

void
streams_announce(int port)
{
	(void) printf("%d\n", port);
	(void) fflush(stdout);
}

static int
serve(const char *word)
{
	(void) prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin(0);
	for (size_t i = 0; i < SERVERS; i++) {
		if (strcmp(servers[i].word, word) == 0 && servers[i].serve != NULL) {
			servers[i].serve(&options.order);
			(void) fprintf(stderr, "streams_bench: %s: %s\n", word, strerror(errno));
			return EXIT_ENVIRONMENT;
		}
	}
	(void) fprintf(stderr, "streams_bench: %s: no such server\n", word);
	return EXIT_USAGE;
}

/* ---- its parent's view */

struct process {
	pid_t pid;
	clockid_t clock;
	int port;
};

static void
exec_server(const struct figure *figure, const struct server *server, int out)
{
	char *argv[6] = { (char *) (uintptr_t) (server->other ? options.against : self), "--serve",
		(char *) (uintptr_t) server->word };
	unsigned count = 3;

	if (figure->spin) {
		argv[count++] = "--spin";
	}
	if (figure->idle) {
		argv[count++] = "--deadlines";
	}
	if (dup2(out, STDOUT_FILENO) >= 0) {
		(void) execv(argv[0], argv);
	}
	die(argv[0]);
}

static void
start_server(struct process *process, const struct figure *figure, const struct server *server)
{
	int ends[2];
	char line[16] = "";

	if (pipe(ends) != 0 || (process->pid = fork()) < 0) {
		die("a server's process");
	}
	if (process->pid == 0) {
		(void) close(ends[0]);
		exec_server(figure, server, ends[1]);
	}
	(void) close(ends[1]);
	FILE *from = fdopen(ends[0], "r");
	if (from == NULL || fgets(line, sizeof(line), from) == NULL) {
		(void) fprintf(stderr, "streams_bench: %s does not start\n", server->title);
		exit(EXIT_ENVIRONMENT);
	}
	(void) fclose(from);
	process->port = atoi(line);
	if (clock_getcpuclockid(process->pid, &process->clock) != 0) {
		die("clock_getcpuclockid");
	}
}

static void
end_server(const struct process *process)
{
	int status;

	(void) kill(process->pid, SIGKILL);
	(void) waitpid(process->pid, &status, 0);
}

static uint64_t
resident_bytes(const struct process *process)
{
	char path[40];
	unsigned long size = 0, resident = 0;

	(void) snprintf(path, sizeof(path), "/proc/%d/statm", (int) process->pid);
	FILE *file = fopen(path, "r");
	if (file == NULL || fscanf(file, "%lu %lu", &size, &resident) != 2) {
		die(path);
	}
	(void) fclose(file);
	return (uint64_t) resident * (uint64_t) sysconf(_SC_PAGESIZE);
}

/* ---- the client */

struct connection {
	int fd;
	uint32_t number;
	uint32_t message;
	uint32_t got;
	uint64_t sent_ns;
	unsigned char out[STREAMS_MESSAGE_SIZE];
	unsigned char in[STREAMS_MESSAGE_SIZE];
};

static struct {
	struct connection *connections;
	unsigned count;
	int epoll_fd;
	bool spin;
	bool counting;
	uint64_t *sample_ns;
	uint32_t samples;
	uint64_t messages;
} client;

static void
lost(const struct connection *c, const char *what)
{
	(void) fprintf(stderr, "streams_bench: connection %" PRIu32 ", message %" PRIu32 ": %s\n", c->number,
	    c->message, what);
	exit(EXIT_LOST);
}

/* Each byte depends on the connection, the message and its place. */
static void
fill(struct connection *c)
{
	uint32_t x = c->number * UINT32_C(2654435761) + c->message * UINT32_C(40503);

	for (unsigned i = 0; i < STREAMS_MESSAGE_SIZE / 4; i++) {
		x = x * UINT32_C(1664525) + UINT32_C(1013904223);
		memcpy(c->out + 4 * i, &x, 4);
	}
}

static void
send_next(struct connection *c)
{
	c->message++;
	c->got = 0;
	fill(c);
	c->sent_ns = clock_ns(CLOCK_MONOTONIC);
	if (send(c->fd, c->out, sizeof(c->out), MSG_NOSIGNAL) != (ssize_t) sizeof(c->out)) {
		lost(c, "it cannot be sent");
	}
}

static void
record(const struct connection *c)
{
	if (memcmp(c->in, c->out, sizeof(c->in)) != 0) {
		lost(c, "other bytes came back");
	}
	if (client.counting) {
		if (client.samples < SAMPLES_MAX) {
			client.sample_ns[client.samples++] = clock_ns(CLOCK_MONOTONIC) - c->sent_ns;
		}
		client.messages++;
	}
}

/* True: the echo is complete. */
static bool
take_echo(struct connection *c, int flags)
{
	ssize_t n = recv(c->fd, c->in + c->got, sizeof(c->in) - c->got, flags);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		lost(c, "the connection has ended");
	}
	c->got += n > 0 ? (uint32_t) n : 0;
	return c->got == sizeof(c->in);
}

static void
connect_one(struct connection *c, uint32_t number, int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t) port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in from = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK + number / PORTS_EACH) };
	struct linger reset = { .l_onoff = 1 }; /* leaves no TIME_WAIT behind */
	int on = 1;

	*c = (struct connection){ .number = number, .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	if (c->fd < 0 || setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) != 0 ||
	    bind(c->fd, (struct sockaddr *) &from, sizeof(from)) != 0 ||
	    connect(c->fd, (struct sockaddr *) &to, sizeof(to)) != 0 ||
	    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) != 0 ||
	    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) {
		die("a connection to the server");
	}
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
	if (epoll_ctl(client.epoll_fd, EPOLL_CTL_ADD, c->fd, &event) != 0) {
		die("epoll_ctl");
	}
}

/* In batches that the server's backlog holds: a connection that it drops is tried again after a second. */
static void
connect_all(const struct process *process, unsigned count)
{
	client.connections = calloc(count, sizeof(*client.connections));
	client.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (client.connections == NULL || client.epoll_fd < 0) {
		die("the client");
	}
	client.count = count;
	for (unsigned i = 0; i < count; i += CONNECT_BATCH) {
		unsigned end = count - i < CONNECT_BATCH ? count : i + CONNECT_BATCH;
		for (unsigned k = i; k < end; k++) {
			connect_one(&client.connections[k], k, process->port);
			send_next(&client.connections[k]);
		}
		for (unsigned k = i; k < end; k++) { /* answered: it is accepted and served */
			while (!take_echo(&client.connections[k], 0)) {
			}
			record(&client.connections[k]);
		}
	}
}

static void
disconnect_all(void)
{
	for (unsigned i = 0; i < client.count; i++) {
		(void) close(client.connections[i].fd);
	}
	(void) close(client.epoll_fd);
	free(client.connections);
	client.connections = NULL;
}

static void
run_one(uint64_t until_ns)
{
	struct connection *c = &client.connections[0];

	do {
		send_next(c);
		while (!take_echo(c, client.spin ? MSG_DONTWAIT : 0)) {
		}
		record(c);
	} while (c->sent_ns < until_ns);
}

/* Every connection has a message under way when it is called and when it returns. */
static void
run_many(uint64_t until_ns)
{
	struct epoll_event event[EVENTS];

	do {
		int count = epoll_wait(client.epoll_fd, event, EVENTS, SILENCE_S * 1000);
		if (count == 0) {
			lost(&client.connections[0], "or another's: no echo comes");
		}
		for (int i = 0; i < count; i++) {
			struct connection *c = event[i].data.ptr;
			if (take_echo(c, MSG_DONTWAIT)) {
				record(c);
				send_next(c);
			}
		}
	} while (clock_ns(CLOCK_MONOTONIC) < until_ns);
}

static void
run_for(uint64_t duration_ns)
{
	uint64_t until_ns = clock_ns(CLOCK_MONOTONIC) + duration_ns;

	if (client.count == 1) {
		run_one(until_ns);
	} else {
		run_many(until_ns);
	}
}

static int
compare_ns(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double
percentile_us(double percent)
{
	uint32_t at = (uint32_t) ((double) (client.samples - 1) * percent / 100);

	return (double) client.sample_ns[at] / 1e3;
}

static struct outcome
measure_messages(const struct process *process)
{
	client.samples = 0;
	client.messages = 0;
	client.counting = false;
	for (unsigned i = 0; client.count > 1 && i < client.count; i++) {
		send_next(&client.connections[i]);
	}
	run_for(options.window_ns / 4); /* warms up */
	client.counting = true;
	uint64_t began_ns = clock_ns(CLOCK_MONOTONIC), cpu_began_ns = clock_ns(process->clock);
	run_for(options.window_ns);
	uint64_t cpu_ns = clock_ns(process->clock) - cpu_began_ns;
	uint64_t took_ns = clock_ns(CLOCK_MONOTONIC) - began_ns;
	client.counting = false;
	if (client.samples == 0) {
		lost(&client.connections[0], "not one came back");
	}
	qsort(client.sample_ns, client.samples, sizeof(client.sample_ns[0]), compare_ns);
	return (struct outcome){
		.valid = true,
		.p50_us = percentile_us(50),
		.p99_us = percentile_us(99),
		.p999_us = percentile_us(99.9),
		.rate = (double) client.messages * 1e9 / (double) took_ns,
		.cpu_us = (double) cpu_ns / 1e3 / (double) client.messages,
		.count = client.count,
	};
}

static unsigned
connections_possible(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur <= 2 * SPARE_DESCRIPTORS) {
		return 0;
	}
	rlim_t count = limit.rlim_cur - SPARE_DESCRIPTORS;
	return count < CONNECTIONS_MAX ? (unsigned) count : CONNECTIONS_MAX;
}

static struct outcome
run_server(const struct figure *figure, const struct server *server)
{
	struct process process;
	struct outcome outcome;

	start_server(&process, figure, server);
	client.spin = figure->spin;
	client.counting = false;
	uint64_t before = resident_bytes(&process);
	connect_all(&process, figure->connections != 0 ? figure->connections : connections_possible());
	if (figure->idle) {
		outcome = (struct outcome){ .valid = true, .count = client.count };
		outcome.bytes = (double) (resident_bytes(&process) - before) / client.count;
	} else {
		outcome = measure_messages(&process);
	}
	disconnect_all();
	end_server(&process);
	return outcome;
}

/* ---- what is said of it */

typedef double (*value_of)(const struct outcome *outcome);

static double
p50_of(const struct outcome *o)
{
	return o->p50_us;
}
static double
p99_of(const struct outcome *o)
{
	return o->p99_us;
}
static double
p999_of(const struct outcome *o)
{
	return o->p999_us;
}
static double
rate_of(const struct outcome *o)
{
	return o->rate;
}
static double
cpu_of(const struct outcome *o)
{
	return o->cpu_us;
}
static double
bytes_of(const struct outcome *o)
{
	return o->bytes;
}

struct spread {
	double least;
	double median;
	double largest;
};

static int
compare_double(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static struct spread
spread_of(double *value, unsigned count)
{
	qsort(value, count, sizeof(value[0]), compare_double);
	double median = count % 2 != 0 ? value[count / 2] : (value[count / 2 - 1] + value[count / 2]) / 2;
	return (struct spread){ value[0], median, value[count - 1] };
}

static unsigned
rounds_of(size_t figure)
{
	return figures[figure].idle ? 1 : options.rounds;
}

static bool
has_results(size_t figure, size_t server)
{
	return results[figure][server][0].valid;
}

static double
median_of(size_t figure, size_t server, value_of value)
{
	double all[ROUNDS_MAX];

	for (unsigned round = 0; round < rounds_of(figure); round++) {
		all[round] = value(&results[figure][server][round]);
	}
	return spread_of(all, rounds_of(figure)).median;
}

/* The judged server's value to the other's, round by round. */
static struct spread
ratio_of(size_t figure, size_t server, value_of value)
{
	double all[ROUNDS_MAX];

	for (unsigned round = 0; round < rounds_of(figure); round++) {
		all[round] = value(&results[figure][JUDGED][round]) / value(&results[figure][server][round]);
	}
	return spread_of(all, rounds_of(figure));
}

static void
print_ratio(size_t figure, size_t server, value_of value)
{
	char text[32] = "";

	if (server != JUDGED && has_results(figure, JUDGED)) {
		struct spread ratio = ratio_of(figure, server, value);
		(void) snprintf(text, sizeof(text), "%.2f (%.2f-%.2f)", ratio.median, ratio.least, ratio.largest);
	}
	(void) printf(" %18s", text);
}

static void
print_table(size_t figure)
{
	const struct figure *f = &figures[figure];

	if (f->idle) {
		(void) printf("\n%s %u idle connections with deadlines\n%-20s %18s\n", f->name,
		    results[figure][JUDGED][0].count, "", "resident bytes");
	} else {
		(void) printf("\n%s %s\n%-20s %9s %9s %9s %9s %9s %18s %18s %18s\n", f->name, f->title, "", "per s",
		    "CPU us", "p50 us", "p99 us", "p99.9 us", "CPU, ratio", "p50, ratio", "p99, ratio");
	}
	for (size_t s = 0; s < SERVERS; s++) {
		if (!has_results(figure, s)) {
			continue;
		}
		(void) printf("%-20s", servers[s].title);
		if (f->idle) {
			(void) printf(" %18.0f%s\n", median_of(figure, s, bytes_of),
			    servers[s].raw ? "  (without deadlines)" : "");
			continue;
		}
		(void) printf(" %9.0f %9.2f %9.2f %9.2f %9.2f", median_of(figure, s, rate_of),
		    median_of(figure, s, cpu_of), median_of(figure, s, p50_of), median_of(figure, s, p99_of),
		    median_of(figure, s, p999_of));
		print_ratio(figure, s, cpu_of);
		print_ratio(figure, s, p50_of);
		print_ratio(figure, s, p99_of);
		(void) printf("\n");
	}
}

/* A goal: the judged server's value is at most `bound` times that of a server. */
struct goal {
	const char *figure;
	const char *what;
	value_of value;
	double bound;
	const char *peer; /* a word; "raw": the better of the two by hand */
};

static const struct goal goals[] = {
	{ "S1", "p50", p50_of, 1.05, "raw" },
	{ "S1", "p99", p99_of, 1.05, "raw" },
	{ "S2", "p50", p50_of, 1.05, "raw" },
	{ "S2", "p99", p99_of, 1.05, "raw" },
	{ "S3", "CPU", cpu_of, 1.00, "raw-uring" },
	{ "S3", "CPU", cpu_of, 0.75, "nng" },
	{ "S3", "p99.9", p999_of, 1.00, "raw-uring" },
	{ "S4", "CPU", cpu_of, 1.00, "raw-uring" },
	{ "S4", "CPU", cpu_of, 0.75, "nng" },
	{ "S4", "p99.9", p999_of, 1.00, "raw-uring" },
};
#define GOALS (sizeof(goals) / sizeof(goals[0]))

/* Whom a goal compares with; SERVERS: nobody was measured. */
static size_t
peer_of(const struct goal *goal, size_t figure)
{
	size_t best = SERVERS;

	for (size_t s = 0; s < SERVERS; s++) {
		bool fits =
		    strcmp(goal->peer, "raw") == 0 ? servers[s].raw : strcmp(goal->peer, servers[s].word) == 0;
		if (!fits || servers[s].other || !has_results(figure, s)) {
			continue;
		}
		if (best == SERVERS || median_of(figure, s, goal->value) < median_of(figure, best, goal->value)) {
			best = s;
		}
	}
	return best;
}

static void
print_goals(struct pw_json *json)
{
	(void) printf("\n%-4s %-6s %-22s %8s %18s %8s\n", "", "", "ratio to", "ratio", "of rounds", "goal");
	for (size_t g = 0; g < GOALS; g++) {
		for (size_t f = 0; f < FIGURES; f++) {
			size_t peer = strcmp(goals[g].figure, figures[f].name) == 0 ? peer_of(&goals[g], f) : SERVERS;
			if (peer == SERVERS || !has_results(f, JUDGED)) {
				continue;
			}
			struct spread ratio = ratio_of(f, peer, goals[g].value);
			bool reached = ratio.median <= goals[g].bound;
			(void) printf("%-4s %-6s %-22s %8.3f %9.2f to %5.2f <= %.2f  %s\n", goals[g].figure,
			    goals[g].what, servers[peer].title, ratio.median, ratio.least, ratio.largest,
			    goals[g].bound, reached ? "reached" : "NOT reached");
			if (json != NULL) {
				pw_json_open(json, NULL);
				pw_json_string(json, "figure", goals[g].figure);
				pw_json_string(json, "value", goals[g].what);
				pw_json_string(json, "to", servers[peer].title);
				pw_json_real(json, "ratio", ratio.median);
				pw_json_real(json, "least", ratio.least);
				pw_json_real(json, "largest", ratio.largest);
				pw_json_real(json, "goal", goals[g].bound);
				pw_json_bool(json, "reached", reached);
				pw_json_close(json);
			}
		}
	}
}

static void
write_runs(struct pw_json *json)
{
	for (size_t f = 0; f < FIGURES; f++) {
		for (size_t s = 0; s < SERVERS; s++) {
			for (unsigned round = 0; round < rounds_of(f) && has_results(f, s); round++) {
				const struct outcome *o = &results[f][s][round];
				pw_json_open(json, NULL);
				pw_json_string(json, "figure", figures[f].name);
				pw_json_string(json, "server", servers[s].title);
				pw_json_number(json, "round", round);
				pw_json_number(json, "connections", o->count);
				if (figures[f].idle) {
					pw_json_real(json, "resident_bytes", o->bytes);
				} else {
					pw_json_real(json, "messages_per_second", o->rate);
					pw_json_real(json, "cpu_us", o->cpu_us);
					pw_json_real(json, "p50_us", o->p50_us);
					pw_json_real(json, "p99_us", o->p99_us);
					pw_json_real(json, "p999_us", o->p999_us);
				}
				pw_json_close(json);
			}
		}
	}
}

static void
report(void)
{
	for (size_t f = 0; f < FIGURES; f++) {
		bool any = false;
		for (size_t s = 0; s < SERVERS; s++) {
			any = any || has_results(f, s);
		}
		if (any) {
			print_table(f);
		}
	}
	if (options.json == NULL) {
		print_goals(NULL);
		return;
	}
	struct pw_json json = { fopen(options.json, "w"), false };
	if (json.out == NULL) {
		die(options.json);
	}
	pw_json_open(&json, NULL);
	pw_json_list(&json, "goals");
	print_goals(&json);
	pw_json_list_end(&json);
	pw_json_list(&json, "runs");
	write_runs(&json);
	pw_json_list_end(&json);
	pw_json_close(&json);
	(void) fputc('\n', json.out);
	if (fclose(json.out) != 0) {
		die(options.json);
	}
}

/* ---- the command */

static void
run_figure(size_t f)
{
	for (unsigned round = 0; round < rounds_of(f); round++) {
		for (size_t i = 0; i < SERVERS; i++) {
			size_t s = (i + round) % SERVERS;
			if (takes_part(&figures[f], &servers[s])) {
				results[f][s][round] = run_server(&figures[f], &servers[s]);
			}
		}
	}
}

static bool
choose_figure(const char *name)
{
	for (size_t f = 0; f < FIGURES; f++) {
		if (strcmp(figures[f].name, name) == 0) {
			options.only[f] = true;
			options.some = true;
			return true;
		}
	}
	return false;
}

static unsigned
number(struct argp_state *state, const char *option, const char *text, unsigned most)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end != '\0' || value < 1 || value > most) {
		argp_error(state, "%s=%s: expected 1 to %u", option, text, most);
	}
	return (unsigned) value;
}

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	static char peers[200];

	switch (key) {
	case 'r':
		options.rounds = number(state, "--rounds", arg, ROUNDS_MAX);
		return 0;
	case 'm':
		options.window_ns = number(state, "--ms", arg, 60000) * (NS_PER_S / 1000);
		return 0;
	case 'J':
		options.json = arg;
		return 0;
	case 'a':
		options.against = arg;
		return 0;
	case 'p':
		(void) snprintf(peers, sizeof(peers), ",%s,", arg);
		options.peers = peers;
		return 0;
	case 'S':
		options.serve = arg;
		return 0;
	case 'x':
		options.order.spin = true;
		return 0;
	case 'd':
		options.order.deadlines = true;
		return 0;
	case ARGP_KEY_ARG:
		if (!choose_figure(arg)) {
			argp_error(state, "%s: expected S1 to S5", arg);
		}
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void
print_host(void)
{
	struct utsname host;

	if (uname(&host) == 0) {
		(void) printf(
		    "Linux %s, %ld CPUs, %u rounds of %.1f s, %u bytes; servers on CPU 0, the client on CPU 1\n",
		    host.release, sysconf(_SC_NPROCESSORS_ONLN), options.rounds, (double) options.window_ns / 1e9,
		    STREAMS_MESSAGE_SIZE);
	}
}

int
main(int argc, char **argv)
{
	static const struct argp_option list[] = {
		{ "rounds", 'r', "N", 0, "Rounds of each figure (default 9; S5: 1)", 0 },
		{ "ms", 'm', "MS", 0, "How long a server is measured in a round (default 400)", 0 },
		{ "json", 'J', "FILE", 0, "Write all values there", 0 },
		{ "against", 'a', "PROGRAM", 0, "Another build of this program, whose pinwheel servers take part",
		    0 },
		{ "servers", 'p', "LIST", 0,
		    "Only these: pinwheel-uring,pinwheel-epoll,raw-uring,raw-epoll,libuv,nng,other-pinwheel-uring,"
		    "other-pinwheel-epoll",
		    0 },
		{ "serve", 'S', "NAME", 0, "Be that server; prints the port", 1 },
		{ "spin", 'x', NULL, 0, "... and never sleep", 1 },
		{ "deadlines", 'd', NULL, 0, "... with a deadline on every receive", 1 },
		{ NULL, 0, NULL, 0, NULL, 0 },
	};
	static const struct argp argp = { list, parse, "[FIGURE...]",
		"Echo servers over loopback TCP beside one another.\v"
		"Exit status: 0 every byte came back, 1 not, 2 usage, 3 a server does not start.",
		NULL, NULL, NULL };

	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	raise_descriptors();
	if (options.serve != NULL) {
		return serve(options.serve);
	}
	self = "/proc/self/exe";
	client.sample_ns = malloc(SAMPLES_MAX * sizeof(client.sample_ns[0]));
	if (client.sample_ns == NULL) {
		die("the samples");
	}
	pin(1);
	print_host();
	for (size_t f = 0; f < FIGURES; f++) {
		if (!options.some || options.only[f]) {
			run_figure(f);
		}
	}
	report();
	return 0;
}
