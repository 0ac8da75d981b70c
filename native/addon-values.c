/* Arguments, results and errors of the addon's functions: Node-API with the checks that every one of them makes. */
#include "addon.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

napi_value throw_error(napi_env env, const char *code, const char *message)
{
    bool pending = false;
    if (napi_is_exception_pending(env, &pending) == napi_ok && !pending) napi_throw_error(env, code, message);
    return NULL;
}

napi_value throw_errno(napi_env env, const char *call, int error)
{
    char message[200];
    const char *code = error == EBADF ? "EBADF" : error == ENOTSOCK ? "ENOTSOCK" : error == EINVAL ? "EINVAL"
                       : error == ENOENT ? "ENOENT" : error == ECONNREFUSED ? "ECONNREFUSED"
                       : error == EACCES ? "EACCES" : error == EPERM ? "EPERM" : error == EAGAIN ? "EAGAIN"
                       : error == ENOTCONN ? "ENOTCONN" : error == EADDRINUSE ? "EADDRINUSE" : error == EROFS ? "EROFS"
                       : error == ENOTDIR ? "ENOTDIR" : error == ENOSPC ? "ENOSPC" : "ERR_SYSTEM";
    snprintf(message, sizeof message, "%s: %s", call, strerror(error));
    return throw_error(env, code, message);
}

/* Fetches exactly `wanted` arguments; false with an exception thrown if there are fewer. */
bool read_arguments(napi_env env, napi_callback_info info, size_t wanted, napi_value *arguments)
{
    size_t count = wanted;
    if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) == napi_ok && count >= wanted) return true;
    throw_error(env, "ERR_MISSING_ARGS", "an argument is missing");
    return false;
}

/* A descriptor or a process id: a whole number from 0 to INT_MAX. */
bool read_whole(napi_env env, napi_value value, int *whole)
{
    double number = -1;
    if (napi_get_value_double(env, value, &number) == napi_ok && number >= 0 && number <= INT_MAX
        && number == (double)(int)number) {
        *whole = (int)number;
        return true;
    }
    throw_error(env, "ERR_INVALID_ARG_VALUE", "a descriptor or process id must be a whole number from 0 on");
    return false;
}

void set_number(napi_env env, napi_value object, const char *name, double number)
{
    napi_value value;
    if (napi_create_double(env, number, &value) == napi_ok) napi_set_named_property(env, object, name, value);
}

void set_text(napi_env env, napi_value object, const char *name, const char *text)
{
    napi_value value;
    if (napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value) == napi_ok)
        napi_set_named_property(env, object, name, value);
}

napi_value boolean(napi_env env, bool truth)
{
    napi_value value = NULL;
    napi_get_boolean(env, truth, &value);
    return value;
}

napi_value number(napi_env env, double value)
{
    napi_value result = NULL;
    napi_create_double(env, value, &result);
    return result;
}

/* An Int32Array of `wanted` numbers; false with an exception thrown for anything else. */
bool read_numbers(napi_env env, napi_value value, size_t wanted, int32_t **numbers)
{
    napi_typedarray_type type;
    size_t length;
    if (napi_get_typedarray_info(env, value, &type, &length, (void **)numbers, NULL, NULL) == napi_ok
        && type == napi_int32_array && length >= wanted) return true;
    throw_error(env, "ERR_INVALID_ARG_VALUE", "expected an Int32Array that is long enough");
    return false;
}

/* The bytes of a Uint8Array; false with an exception thrown for anything else. */
bool read_bytes(napi_env env, napi_value value, void **bytes, size_t *length)
{
    napi_typedarray_type type;
    if (napi_get_typedarray_info(env, value, &type, length, bytes, NULL, NULL) == napi_ok && type == napi_uint8_array)
        return true;
    throw_error(env, "ERR_INVALID_ARG_VALUE", "expected a Uint8Array");
    return false;
}

/* Text of 1 to `room` bytes; false with an exception thrown otherwise. */
bool read_text(napi_env env, napi_value value, char *text, size_t room, size_t *length)
{
    size_t whole;
    if (napi_get_value_string_utf8(env, value, NULL, 0, &whole) == napi_ok && whole > 0 && whole < room
        && napi_get_value_string_utf8(env, value, text, room, length) == napi_ok) return true;
    throw_error(env, "ERR_INVALID_ARG_VALUE", "expected text that is neither empty nor too long");
    return false;
}
