/* Tells when a descriptor becomes readable, as that of a process does when it exits: Node has no API for it. */
#include "addon.h"

#include <stdlib.h>
#include <unistd.h>

/* libuv's own, which every Node exports; docs.libuv.org, "uv_poll_t" and "uv_handle_t". Handles are of a size that it tells. */
enum { POLL_HANDLE = 8 /* UV_POLL */, READABLE = 1 /* UV_READABLE */ };
struct uv_loop_s;
extern size_t uv_handle_size(int type);
extern int uv_poll_init(struct uv_loop_s *loop, void *handle, int fd);
extern int uv_poll_start(void *handle, int events, void (*callback)(void *handle, int status, int events));
extern void uv_close(void *handle, void (*callback)(void *handle));
extern void uv_unref(void *handle);
extern void *uv_handle_get_data(const void *handle);
extern void uv_handle_set_data(void *handle, void *data);

struct watch {
    napi_env env;
    napi_ref callback;
    napi_async_context context;
    int fd;
    int users; /* the handle, and the function that ends it */
    bool ended;
};

static void let_go(struct watch *watch)
{
    if (--watch->users == 0) free(watch);
}

static void closed(void *handle)
{
    struct watch *watch = uv_handle_get_data(handle);
    close(watch->fd);
    free(handle);
    let_go(watch);
}

static void end(struct watch *watch, void *handle)
{
    if (watch->ended) return;
    watch->ended = true;
    napi_delete_reference(watch->env, watch->callback);
    napi_async_destroy(watch->env, watch->context);
    uv_close(handle, closed);
}

static void readable(void *handle, int status, int events)
{
    struct watch *watch = uv_handle_get_data(handle);
    napi_env env = watch->env;
    napi_handle_scope scope;
    napi_value callback, receiver;
    (void)status;
    (void)events;
    if (watch->ended || napi_open_handle_scope(env, &scope) != napi_ok) return;
    if (napi_get_reference_value(env, watch->callback, &callback) == napi_ok && napi_get_global(env, &receiver) == napi_ok)
        napi_make_callback(env, watch->context, receiver, callback, 0, NULL, NULL);
    end(watch, handle);
    napi_close_handle_scope(env, scope);
}

struct stopper {
    struct watch *watch;
    void *handle;
};

static napi_value stop(napi_env env, napi_callback_info info)
{
    void *data = NULL;
    if (napi_get_cb_info(env, info, NULL, NULL, NULL, &data) != napi_ok) return NULL;
    struct stopper *stopper = data;
    end(stopper->watch, stopper->handle);
    return NULL;
}

static void stopper_gone(napi_env env, void *data, void *hint)
{
    struct stopper *stopper = data;
    (void)env;
    (void)hint;
    let_go(stopper->watch);
    free(stopper);
}

/*
 * whenReadable(fd, callback): calls back once and closes the descriptor, which is ours from now on. Returns what ends that.
 * Never keeps the process alive.
 */
napi_value when_readable(napi_env env, napi_callback_info info)
{
    napi_value arguments[2], name, function = NULL;
    struct uv_loop_s *loop = NULL;
    int fd;
    if (!read_arguments(env, info, 2, arguments) || !read_whole(env, arguments[0], &fd)) return NULL;
    struct watch *watch = calloc(1, sizeof *watch);
    struct stopper *stopper = calloc(1, sizeof *stopper);
    void *handle = calloc(1, uv_handle_size(POLL_HANDLE));
    if (watch == NULL || stopper == NULL || handle == NULL) goto failed;
    *watch = (struct watch){.env = env, .fd = fd, .users = 2};
    *stopper = (struct stopper){.watch = watch, .handle = handle};
    if (napi_get_uv_event_loop(env, (void *)&loop) != napi_ok) goto failed;
    if (napi_create_string_utf8(env, "broker:whenReadable", NAPI_AUTO_LENGTH, &name) != napi_ok) goto failed;
    if (napi_create_function(env, "stop", NAPI_AUTO_LENGTH, stop, stopper, &function) != napi_ok) goto failed;
    if (napi_create_reference(env, arguments[1], 1, &watch->callback) != napi_ok) goto failed;
    if (napi_async_init(env, NULL, name, &watch->context) != napi_ok) goto failed;
    if (uv_poll_init(loop, handle, fd) != 0) goto unwatchable;
    uv_handle_set_data(handle, watch);
    uv_unref(handle);
    napi_add_finalizer(env, function, stopper, stopper_gone, NULL, NULL);
    if (uv_poll_start(handle, READABLE, readable) != 0) end(watch, handle);
    return function;
unwatchable:
    napi_async_destroy(env, watch->context);
    napi_delete_reference(env, watch->callback);
failed:
    free(watch);
    free(stopper);
    free(handle);
    return throw_error(env, "ERR_SYSTEM", "a descriptor cannot be watched");
}
