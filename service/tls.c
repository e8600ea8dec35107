/* See tls.h. */
#include "service/tls.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/limits.h"
#include "common/mem.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <sys/stat.h>

#define CHAIN_MAX 16
#define PEM_BYTES_MAX MED_MIB
/* Longer than any handshake: the longest deadline that --header-deadline-ms accepts. */
#define RETIRED_NS (3700ull * 1000000000ull)

struct identity {
    struct identity *older; /* replaced by this one */
    uint64_t retired_ns;
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned chain_len;
    gnutls_privkey_t key;
    int64_t expires_unix_s;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards: */
static struct identity *current;

static void identity_free(struct identity *id)
{
    for (unsigned i = 0; i < id->chain_len; i++) gnutls_pcert_deinit(&id->chain[i]);
    if (id->key) gnutls_privkey_deinit(id->key);
    med_free(id);
}

static enum med_code invalid(struct med_err *err, const char *path, const char *what, int failed)
{
    return med_fail(err, MED_E_INVALID, "%s: %s: %s", path, what, gnutls_strerror(failed));
}

static enum med_code read_chain(struct identity *id, const char *path, struct med_err *err)
{
    struct med_buf pem;
    gnutls_x509_crt_t crts[CHAIN_MAX];
    unsigned count = CHAIN_MAX;
    med_buf_init(&pem, PEM_BYTES_MAX);
    enum med_code code = med_read_file(path, &pem, err);
    if (code) {
        med_buf_free(&pem);
        return code;
    }
    gnutls_datum_t bytes = {.data = (unsigned char *)pem.data, .size = (unsigned)pem.len};
    int failed = gnutls_x509_crt_list_import(crts, &count, &bytes, GNUTLS_X509_FMT_PEM,
        GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED | GNUTLS_X509_CRT_LIST_FAIL_IF_UNSORTED);
    med_buf_free(&pem);
    if (failed < 0) return invalid(err, path, "no chain of certificates in PEM", failed);
    id->expires_unix_s = gnutls_x509_crt_get_expiration_time(crts[0]);
    failed = 0;
    for (unsigned i = 0; i < count; i++) {
        if (failed >= 0) failed = gnutls_pcert_import_x509(&id->chain[i], crts[i], 0);
        if (failed >= 0) id->chain_len = i + 1;
        gnutls_x509_crt_deinit(crts[i]);
    }
    return failed < 0 ? invalid(err, path, "the certificate cannot be used", failed) : MED_OK;
}

static enum med_code read_key(struct identity *id, const char *path, struct med_err *err)
{
    struct stat st;
    struct med_buf pem;
    if (stat(path, &st) != 0) return med_fail_errno(err, errno, "cannot read %s", path);
    /* A group may read it: Debian's ssl-cert does it that way. */
    if (st.st_mode & (S_IWGRP | S_IXGRP | S_IRWXO))
        return med_fail(err, MED_E_PERMISSION,
            "others may read or change the private key %s: run chmod 640 or 600 on it", path);
    med_buf_init(&pem, PEM_BYTES_MAX);
    enum med_code code = med_read_file(path, &pem, err);
    if (!code) {
        gnutls_datum_t bytes = {.data = (unsigned char *)pem.data, .size = (unsigned)pem.len};
        int failed = gnutls_privkey_init(&id->key);
        if (failed >= 0)
            failed = gnutls_privkey_import_x509_raw(id->key, &bytes, GNUTLS_X509_FMT_PEM, NULL, 0);
        if (failed < 0) code = invalid(err, path, "no unencrypted private key in PEM", failed);
    }
    if (pem.data) gnutls_memset(pem.data, 0, pem.cap);
    med_buf_free(&pem);
    return code;
}

static enum med_code check_pair(
    struct identity *id, const char *cert_path, const char *key_path, struct med_err *err)
{
    unsigned char of_key[64], of_cert[64];
    size_t key_len = sizeof of_key, cert_len = sizeof of_cert;
    gnutls_pubkey_t pubkey = NULL;
    int failed = gnutls_pubkey_init(&pubkey);
    if (failed >= 0) failed = gnutls_pubkey_import_privkey(pubkey, id->key, 0, 0);
    if (failed >= 0)
        failed = gnutls_pubkey_get_key_id(pubkey, GNUTLS_KEYID_USE_SHA256, of_key, &key_len);
    if (failed >= 0)
        failed = gnutls_pubkey_get_key_id(
            id->chain[0].pubkey, GNUTLS_KEYID_USE_SHA256, of_cert, &cert_len);
    if (pubkey) gnutls_pubkey_deinit(pubkey);
    if (failed < 0) return invalid(err, key_path, "the key cannot be used", failed);
    if (key_len == cert_len && memcmp(of_key, of_cert, key_len) == 0) return MED_OK;
    return med_fail(err, MED_E_INVALID, "the private key %s does not belong to the certificate %s",
        key_path, cert_path);
}

static enum med_code identity_new(const char *cert_path, const char *key_path,
    struct identity **ret_identity, struct med_err *err)
{
    struct identity *id = med_calloc(1, sizeof *id);
    if (!id) return med_fail(err, MED_E_NOMEM, "out of memory for the certificate");
    enum med_code code = read_chain(id, cert_path, err);
    if (!code) code = read_key(id, key_path, err);
    if (!code) code = check_pair(id, cert_path, key_path, err);
    if (code)
        identity_free(id);
    else
        *ret_identity = id;
    return code;
}

enum med_code tls_check(
    const char *cert_path, const char *key_path, int64_t *ret_expires_unix_s, struct med_err *err)
{
    struct identity *id;
    enum med_code code = identity_new(cert_path, key_path, &id, err);
    if (code) return code;
    if (ret_expires_unix_s) *ret_expires_unix_s = id->expires_unix_s;
    identity_free(id);
    return MED_OK;
}

enum med_code tls_use(
    const char *cert_path, const char *key_path, int64_t *ret_expires_unix_s, struct med_err *err)
{
    struct identity *id;
    uint64_t now = med_now_ns();
    enum med_code code = identity_new(cert_path, key_path, &id, err);
    if (code) return code;
    if (ret_expires_unix_s) *ret_expires_unix_s = id->expires_unix_s;
    pthread_mutex_lock(&mutex);
    if (current) current->retired_ns = now;
    id->older = current;
    current = id;
    for (struct identity **at = &id->older; *at;) {
        struct identity *old = *at;
        if (now - old->retired_ns < RETIRED_NS) {
            at = &old->older;
            continue;
        }
        *at = old->older;
        identity_free(old);
    }
    pthread_mutex_unlock(&mutex);
    return MED_OK;
}

void tls_forget(void)
{
    pthread_mutex_lock(&mutex);
    while (current) {
        struct identity *id = current;
        current = id->older;
        identity_free(id);
    }
    pthread_mutex_unlock(&mutex);
}

static int show(gnutls_session_t session, const gnutls_datum_t *authorities, int authority_count,
    const gnutls_pk_algorithm_t *algorithms, int algorithm_count, gnutls_pcert_st **ret_chain,
    unsigned *ret_chain_len, gnutls_privkey_t *ret_key)
{
    (void)session;
    (void)authorities;
    (void)authority_count;
    (void)algorithms;
    (void)algorithm_count;
    pthread_mutex_lock(&mutex);
    struct identity *id = current;
    pthread_mutex_unlock(&mutex);
    if (!id) return -1;
    *ret_chain = id->chain;
    *ret_chain_len = id->chain_len;
    *ret_key = id->key;
    return 0;
}

void *tls_certificate_callback(void)
{
    gnutls_certificate_retrieve_function2 *callback = show;
    void *pointer;
    memcpy(&pointer, &callback, sizeof pointer);
    return pointer;
}

/* --- the other side --- */

static int exchange(gnutls_session_t session, struct med_str request, char *ret_answer, size_t size)
{
    size_t len = 0;
    int rc;
    do rc = gnutls_handshake(session);
    while (rc < 0 && rc != GNUTLS_E_AGAIN && !gnutls_error_is_fatal(rc));
    if (rc < 0) return rc;
    ssize_t n = gnutls_record_send(session, request.ptr, request.len);
    while (n > 0 && len < size - 1) {
        n = gnutls_record_recv(session, ret_answer + len, size - 1 - len);
        if (n > 0) len += (size_t)n;
    }
    ret_answer[len] = '\0';
    return len ? 0 : GNUTLS_E_AGAIN;
}

enum med_code tls_ask(
    int fd, struct med_str request, char *ret_answer, size_t size, struct med_err *err)
{
    gnutls_session_t session = NULL;
    gnutls_certificate_credentials_t credentials = NULL;
    int failed = gnutls_init(&session, GNUTLS_CLIENT);
    if (failed >= 0) failed = gnutls_certificate_allocate_credentials(&credentials);
    if (failed >= 0) failed = gnutls_priority_set_direct(session, TLS_PRIORITIES, NULL);
    if (failed >= 0) failed = gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
    if (failed >= 0) {
        gnutls_transport_set_int(session, fd);
        failed = exchange(session, request, ret_answer, size);
    }
    if (session) gnutls_deinit(session);
    if (credentials) gnutls_certificate_free_credentials(credentials);
    return failed < 0 ? med_fail(err, MED_E_BUSY, "no TLS: %s", gnutls_strerror(failed)) : MED_OK;
}
