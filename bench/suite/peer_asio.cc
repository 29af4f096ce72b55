// SPDX-License-Identifier: MIT
//
// peer_asio.cc: ops.h on Boost.Asio.
//
// An io_context that one thread runs, and says so (concurrency hint 1). An operation without a deadline completes by
// asio::post, from anywhere. One with a deadline is a steady_timer that is waited for, and completes by cancel of
// the timer: its handler is the callback. A timer is not to be touched by two threads, so from outside that is
// posted.
#include "bench/suite/host.h"
#include "bench/suite/ops.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/version.hpp>

#include <chrono>
#include <cstdio>
#include <memory>
#include <new>

namespace
{

namespace asio = boost::asio;

enum class State : uint8_t {
	idle,
	started, // an operation, perhaps with a timer
	asleep,
	ended, // its callback is due
};

struct Handle {
	Handle(asio::io_context &context, void (*function)(void *), void *function_arg)
	    : timer(context), callback(function), arg(function_arg)
	{
	}

	void
	call()
	{
		state = State::idle;
		callback(arg);
	}

	// The timer's handler.
	void
	on_timer()
	{
		if (state != State::ended) { // not canceled: it is the end
			result = state == State::asleep ? BENCH_DONE : BENCH_TIMED_OUT;
		}
		call();
	}

	bool
	on_timer_waits() const
	{
		return state == State::asleep || (state == State::started && timeout_ms >= 0);
	}

	void
	wait(int32_t duration_ms, State as)
	{
		state = as;
		timer.expires_after(std::chrono::milliseconds(duration_ms));
		timer.async_wait([this](const boost::system::error_code &) { on_timer(); });
	}

	asio::steady_timer timer;
	void (*callback)(void *);
	void *arg;
	int32_t timeout_ms = -1;
	State state = State::idle;
	bench_result result = BENCH_DONE;
};

struct Peer {
	explicit Peer(bench_idle how) : context(1), guard(asio::make_work_guard(context)), idle(how)
	{
	}

	asio::io_context context;
	asio::executor_work_guard<asio::io_context::executor_type> guard;
	bench_idle idle;
	bool stop = false;
	pthread_t thread{};
	bench_pool pool{};
};

Peer *peer;

void *
loop_thread(void *)
{
	if (peer->idle == BENCH_IDLE_SPIN) {
		while (!peer->stop) {
			(void) peer->context.poll();
		}
	} else {
		(void) peer->context.run();
	}
	return nullptr;
}

bool
open_asio(const bench_setup *setup)
{
	peer = new Peer(setup->idle);
	bench_pool_init(&peer->pool, sizeof(Handle));
	if (!bench_thread_start(&peer->thread, bench_cpu_of_loop(0), loop_thread, nullptr)) {
		std::fprintf(stderr, "Asio: no thread\n");
		delete peer;
		return false;
	}
	return true;
}

bool
run_asio(int, void (*function)(void *), void *arg)
{
	asio::post(peer->context, [function, arg] { function(arg); });
	return true;
}

void
close_asio()
{
	asio::post(peer->context, [] {
		peer->stop = true;
		peer->context.stop();
	});
	(void) pthread_join(peer->thread, nullptr);
	bench_pool pool = peer->pool; // timers that were waited for end with the context
	delete peer;
	bench_pool_close(&pool);
}

void
describe_asio(char *text, size_t size)
{
	(void) std::snprintf(text, size, "Boost %d.%d, an io_context(1) on CPU %d", BOOST_VERSION / 100000,
	    BOOST_VERSION / 100 % 1000, bench_cpu_of_loop(0));
}

void *
alloc_asio(int, void (*callback)(void *), void *arg)
{
	void *memory = bench_pool_get(&peer->pool);
	return memory == nullptr ? nullptr : new (memory) Handle(peer->context, callback, arg);
}

void
free_asio(void *arg)
{
	auto *handle = static_cast<Handle *>(arg);
	if (handle->on_timer_waits()) { // its handler still comes
		handle->callback = [](void *self) {
			static_cast<Handle *>(self)->~Handle();
			bench_pool_put(&peer->pool, self);
		};
		handle->arg = handle;
		handle->state = State::ended;
		(void) handle->timer.cancel();
		return;
	}
	handle->~Handle();
	bench_pool_put(&peer->pool, handle);
}

void
set_timeout_asio(void *arg, int32_t timeout_ms)
{
	static_cast<Handle *>(arg)->timeout_ms = timeout_ms;
}

bool
start_asio(void *arg)
{
	auto *handle = static_cast<Handle *>(arg);
	if (handle->timeout_ms >= 0) {
		handle->wait(handle->timeout_ms, State::started);
	} else {
		handle->state = State::started;
	}
	return true;
}

void
sleep_asio(void *arg, int32_t duration_ms)
{
	static_cast<Handle *>(arg)->wait(duration_ms, State::asleep);
}

bool
end(Handle *handle, bench_result result)
{
	if (handle->on_timer_waits()) {
		handle->state = State::ended;
		handle->result = result;
		(void) handle->timer.cancel();
	} else if (handle->state == State::started) {
		handle->state = State::ended;
		handle->result = result;
		asio::post(peer->context, [handle] { handle->call(); });
	} else {
		return false;
	}
	return true;
}

bool
finish_asio(void *handle)
{
	return end(static_cast<Handle *>(handle), BENCH_DONE);
}

void
cancel_asio(void *handle)
{
	(void) end(static_cast<Handle *>(handle), BENCH_CANCELED);
}

// A handle without a timer needs nothing but its callback on the loop.
void
end_outside(Handle *handle, bench_result result)
{
	asio::post(peer->context, [handle, result] {
		if (handle->on_timer_waits()) {
			(void) end(handle, result);
		} else if (handle->state == State::started) {
			handle->result = result;
			handle->call();
		}
	});
}

void
finish_outside_asio(void *handle)
{
	end_outside(static_cast<Handle *>(handle), BENCH_DONE);
}

void
cancel_outside_asio(void *handle)
{
	end_outside(static_cast<Handle *>(handle), BENCH_CANCELED);
}

bench_result
result_asio(void *handle)
{
	return static_cast<Handle *>(handle)->result;
}

constexpr bench_ops
table()
{
	bench_ops ops{};
	ops.name = "Asio";
	ops.one_thread = true;
	ops.loops_max = 1;
	ops.adapter_bytes = sizeof(Handle) - sizeof(asio::steady_timer);
	ops.open = open_asio;
	ops.close = close_asio;
	ops.describe = describe_asio;
	ops.run = run_asio;
	ops.alloc = alloc_asio;
	ops.free = free_asio;
	ops.set_timeout = set_timeout_asio;
	ops.start = start_asio;
	ops.finish = finish_asio;
	ops.sleep = sleep_asio;
	ops.cancel = cancel_asio;
	ops.result = result_asio;
	ops.finish_outside = finish_outside_asio;
	ops.cancel_outside = cancel_outside_asio;
	return ops;
}

} // namespace

extern const bench_ops bench_asio;
const bench_ops bench_asio = table();
