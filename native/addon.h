/* What the parts of the addon share. */
#ifndef BROKER_ADDON_H
#define BROKER_ADDON_H

#ifdef __linux__
#define _GNU_SOURCE /* struct ucred */
#endif
#define NAPI_VERSION 8
#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* addon-values.c */
napi_value throw_error(napi_env env, const char *code, const char *message);
napi_value throw_errno(napi_env env, const char *call, int error);
bool read_arguments(napi_env env, napi_callback_info info, size_t wanted, napi_value *arguments);
bool read_whole(napi_env env, napi_value value, int *whole);
void set_number(napi_env env, napi_value object, const char *name, double number);
void set_text(napi_env env, napi_value object, const char *name, const char *text);
napi_value boolean(napi_env env, bool truth);
napi_value number(napi_env env, double value);
bool read_numbers(napi_env env, napi_value value, size_t wanted, int32_t **numbers);
bool read_bytes(napi_env env, napi_value value, void **bytes, size_t *length);
bool read_text(napi_env env, napi_value value, char *text, size_t room, size_t *length);

/* addon-processes.c: what is offered of them to JavaScript. */
napi_value peer_credentials(napi_env env, napi_callback_info info);
napi_value process_parent(napi_env env, napi_callback_info info);
napi_value process_info(napi_env env, napi_callback_info info);
napi_value parent_pid(napi_env env, napi_callback_info info);
napi_value process_group(napi_env env, napi_callback_info info);
napi_value open_process_fd(napi_env env, napi_callback_info info);
napi_value peer_process_fd(napi_env env, napi_callback_info info);
napi_value has_exited(napi_env env, napi_callback_info info);

/* addon-watch.c */
napi_value when_readable(napi_env env, napi_callback_info info);

/* addon-machine.c: likewise. */
napi_value awake_time_ms(napi_env env, napi_callback_info info);
napi_value user_temp_folder(napi_env env, napi_callback_info info);
napi_value is_on_network(napi_env env, napi_callback_info info);
napi_value machine_id(napi_env env, napi_callback_info info);
napi_value forbid_keychain_dialogues(napi_env env, napi_callback_info info);

#endif
