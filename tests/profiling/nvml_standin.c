/* A stand-in for NVIDIA's libnvidia-ml.so.1, compiled by the tests.
 *
 * It has the ABI that the pynvml bindings call and answers from a table of numbers
 * that the tests set. Devices: 0 and 1 are GPUs; 10 * (gpu + 1) + mig is a MIG device.
 * Any key may be given an error instead of a value; any function fails with the
 * device's error "lost" while that is set. NVML_STANDIN may name a file of lines
 * "device key value", read by nvmlInitWithFlags, for processes that the tests start.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OK 0
#define INVALID_ARGUMENT 2
#define NOT_SUPPORTED 3
#define NOT_FOUND 6
#define INSUFFICIENT_SIZE 7
#define SYSTEM (-1)
#define MAX_ENTRIES 512

typedef long long number;
typedef struct { int device; char key[64]; number value; int error; } entry;

static entry table[MAX_ENTRIES];
static int num_entries;
static int handles[64];

static entry *find(int device, const char *key) {
  for (int i = 0; i < num_entries; i++)
    if (table[i].device == device && !strcmp(table[i].key, key)) return &table[i];
  return NULL;
}

static entry *obtain(int device, const char *key) {
  entry *found = find(device, key);
  if (found) return found;
  if (num_entries == MAX_ENTRIES) abort();
  found = &table[num_entries++];
  memset(found, 0, sizeof *found);
  found->device = device;
  snprintf(found->key, sizeof found->key, "%s", key);
  return found;
}

void standin_set(int device, const char *key, number value) {
  entry *found = obtain(device, key);
  found->value = value;
  found->error = OK;
}
void standin_fail(int device, const char *key, int error) {
  obtain(device, key)->error = error;
}
void standin_clear(void) { num_entries = 0; }
number standin_get(int device, const char *key) {
  entry *found = find(device, key);
  return found ? found->value : 0;
}

static int read_number(int device, const char *key, number *value) {
  entry *lost = find(device, "lost");
  if (lost && lost->error) return lost->error;
  entry *found = find(device, key);
  if (!found) return NOT_SUPPORTED;
  if (found->error) return found->error;
  *value = found->value;
  return OK;
}

static int index_of(const void *handle) { return *(const int *)handle; }
static void *handle_of(int device) {
  handles[device] = device;
  return &handles[device];
}

static int read_unsigned(const void *handle, const char *key, unsigned *result) {
  number value = 0;
  int status = read_number(index_of(handle), key, &value);
  if (!status) *result = (unsigned)value;
  return status;
}

/* System */

int nvmlInitWithFlags(unsigned flags) {
  (void)flags;
  const char *path = getenv("NVML_STANDIN");
  FILE *file = path && !num_entries ? fopen(path, "r") : NULL;
  if (file) {
    int device; char key[64]; number value;
    while (fscanf(file, "%d %63s %lld", &device, key, &value) == 3)
      standin_set(device, key, value);
    fclose(file);
  }
  entry *init = find(SYSTEM, "init");
  return init ? init->error : OK;
}
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int error) {
  static char text[64];
  switch (error) {
    case 3: return "Not Supported";
    case 4: return "Insufficient Permissions";
    case 9: return "Driver Not Loaded";
    case 15: return "GPU is lost";
    case 18: return "Driver/library version mismatch";
  }
  snprintf(text, sizeof text, "Error %d", error);
  return text;
}
int nvmlSystemGetDriverVersion(char *text, unsigned size) {
  snprintf(text, size, "580.159.04");
  return OK;
}
int nvmlSystemGetCudaDriverVersion_v2(int *version) {
  *version = 13000;
  return OK;
}
int nvmlSystemGetProcessName(unsigned pid, char *text, unsigned size) {
  if (standin_get(SYSTEM, "mps_pid") == (number)pid) {
    snprintf(text, size, "/usr/bin/nvidia-cuda-mps-server");
    return OK;
  }
  if (standin_get(SYSTEM, "stranger_pid") == (number)pid) {
    snprintf(text, size, "/usr/bin/train");
    return OK;
  }
  return NOT_FOUND;
}

/* Devices */

int nvmlDeviceGetCount_v2(unsigned *count) {
  *count = (unsigned)standin_get(SYSTEM, "count");
  return OK;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
  if ((number)index >= standin_get(SYSTEM, "count")) return INVALID_ARGUMENT;
  *handle = handle_of((int)index);
  entry *lost = find((int)index, "lost_at_open");
  return lost ? lost->error : OK;
}
int nvmlDeviceGetUUID(const void *handle, char *text, unsigned size) {
  int device = index_of(handle);
  snprintf(text, size, device < 10 ? "GPU-%d0000000-aaaa" : "MIG-%d000000-bbbb", device);
  return OK;
}
int nvmlDeviceGetName(const void *handle, char *text, unsigned size) {
  int device = index_of(handle);
  snprintf(text, size, device < 10 ? "NVIDIA Stand-in 80GB" : "NVIDIA Stand-in 80GB MIG 1g.10gb");
  return OK;
}
typedef struct { unsigned long long total, free, used; } memory;
int nvmlDeviceGetMemoryInfo(const void *handle, memory *result) {
  number total = 0, used = 0;
  int status = read_number(index_of(handle), "memory_total", &total);
  if (!status) status = read_number(index_of(handle), "memory_used", &used);
  if (status) return status;
  result->total = (unsigned long long)total;
  result->used = (unsigned long long)used;
  result->free = (unsigned long long)(total - used);
  return OK;
}
typedef struct { unsigned gpu, memory; } rates;
int nvmlDeviceGetUtilizationRates(const void *handle, rates *result) {
  int status = read_unsigned(handle, "gpu_utilization", &result->gpu);
  return status ? status : read_unsigned(handle, "memory_utilization", &result->memory);
}
int nvmlDeviceGetPowerUsage(const void *handle, unsigned *milliwatts) {
  return read_unsigned(handle, "power_mw", milliwatts);
}
int nvmlDeviceGetTotalEnergyConsumption(const void *handle, unsigned long long *mj) {
  number value = 0;
  int status = read_number(index_of(handle), "energy_mj", &value);
  *mj = (unsigned long long)value;
  return status;
}
int nvmlDeviceGetClockInfo(const void *handle, int clock, unsigned *mhz) {
  return read_unsigned(handle, clock == 1 ? "sm_clock" : "memory_clock", mhz);
}

int nvmlDeviceGetMaxClockInfo(const void *handle, int clock, unsigned *mhz) {
  return read_unsigned(handle, clock == 1 ? "sm_clock_most" : "memory_clock", mhz);
}
int nvmlDeviceGetCurrentClocksThrottleReasons(const void *handle, unsigned long long *mask) {
  number value = 0;
  int status = read_number(index_of(handle), "slowdowns", &value);
  *mask = (unsigned long long)value;
  return status;
}

/* Processes */

typedef struct { unsigned pid; unsigned long long used; unsigned gi, ci; } process;
int nvmlDeviceGetComputeRunningProcesses_v3(const void *handle, unsigned *count, process *list) {
  int device = index_of(handle), num_processes = 0;
  number num = 0;
  int status = read_number(device, "num_processes", &num);
  if (status) return status;
  if ((number)*count < num) {
    *count = (unsigned)num;
    return INSUFFICIENT_SIZE;
  }
  for (; num_processes < num; num_processes++) {
    char key[64];
    snprintf(key, sizeof key, "pid%d", num_processes);
    memset(&list[num_processes], 0, sizeof *list);
    list[num_processes].pid = (unsigned)standin_get(device, key);
    snprintf(key, sizeof key, "pid%d_used", num_processes);
    list[num_processes].used = (unsigned long long)standin_get(device, key);
  }
  *count = (unsigned)num_processes;
  return OK;
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(const void *handle, unsigned *count, process *list) {
  (void)handle; (void)list;
  *count = 0;
  return OK;
}

/* MIG */

int nvmlDeviceGetMigMode(const void *handle, unsigned *current, unsigned *pending) {
  int status = read_unsigned(handle, "mig", current);
  *pending = *current;
  return status;
}
int nvmlDeviceGetMaxMigDeviceCount(const void *handle, unsigned *count) {
  (void)handle;
  *count = 7;
  return OK;
}
int nvmlDeviceGetMigDeviceHandleByIndex(const void *handle, unsigned index, void **mig) {
  int device = index_of(handle);
  if ((number)index >= standin_get(device, "num_migs")) return NOT_FOUND;
  *mig = handle_of(10 * (device + 1) + (int)index);
  return OK;
}
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(const void *mig, void **handle) {
  *handle = handle_of(index_of(mig) / 10 - 1);
  return OK;
}
int nvmlDeviceGetGpuInstanceId(const void *mig, unsigned *id) {
  *id = (unsigned)(index_of(mig) % 10);
  return OK;
}

/* GPM: a sample is a copy of four running sums in units of percent × samples. */

typedef struct { number count, sum[11]; } sample;
typedef struct { unsigned version, supported; } support;
typedef struct { char *short_name, *long_name, *unit; } info;
typedef struct { unsigned id; int status; double value; info text; } metric;
typedef struct { unsigned version, num; sample *first, *second; metric metrics[]; } query;

int nvmlGpmQueryDeviceSupport(const void *handle, support *result) {
  entry *lost = find(index_of(handle), "lost");
  if (lost && lost->error) return lost->error;
  result->supported = (unsigned)standin_get(index_of(handle), "gpm");
  return OK;
}
int nvmlGpmSampleAlloc(sample **result) {
  standin_set(SYSTEM, "samples", standin_get(SYSTEM, "samples") + 1);
  *result = calloc(1, sizeof **result);
  return OK;
}
int nvmlGpmSampleFree(sample *one) {
  standin_set(SYSTEM, "samples", standin_get(SYSTEM, "samples") - 1);
  free(one);
  return OK;
}
static int take_sample(int device, sample *one) {
  one->count = standin_get(device, "gpm_count");
  for (int id = 1; id < 11; id++) {
    char key[64];
    snprintf(key, sizeof key, "gpm_sum%d", id);
    one->sum[id] = standin_get(device, key);
  }
  return OK;
}
int nvmlGpmSampleGet(const void *handle, sample *one) {
  if (standin_get(index_of(handle), "mig")) return NOT_SUPPORTED;
  return take_sample(index_of(handle), one);
}
int nvmlGpmMigSampleGet(const void *handle, unsigned gpu_instance, sample *one) {
  return take_sample(10 * (index_of(handle) + 1) + (int)gpu_instance, one);
}
int nvmlGpmMetricsGet(query *asked) {
  for (unsigned i = 0; i < asked->num; i++) {
    metric *one = &asked->metrics[i];
    if (one->id >= 11) {
      one->status = NOT_SUPPORTED;
      continue;
    }
    double sum = (double)(asked->second->sum[one->id] - asked->first->sum[one->id]);
    one->status = OK;
    one->value = sum / (double)(asked->second->count - asked->first->count);
  }
  return OK;
}
