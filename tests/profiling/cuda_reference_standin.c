/* A stand-in for NVIDIA's libcuda.so.1, as far as the reference models use it.
 *
 * Memory is the host's; dense and convolution are computed there and then, as their PTX
 * says; compute and copy take some wall time, 20 µs. CUDA_STANDIN_WRONG makes dense add
 * one, as a broken GPU might.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OK = 0, INVALID_VALUE = 1 };
enum { NUM_MULTIPROCESSORS = 16 };

static int context, module, is_current;
static double elapsed_us;
static const char *names[] = {"compute", "copy", "dense", "convolution"};

int cuGetErrorString(int code, const char **text) {
  *text = code ? "invalid argument" : "no error";
  return OK;
}

int cuInit(unsigned flags) { return flags ? INVALID_VALUE : OK; }

int cuDeviceGet(int *device, int index) {
  *device = index;
  return index ? INVALID_VALUE : OK;
}

int cuDeviceGetAttribute(int *value, int attribute, int device) {
  *value = 4;
  return attribute == NUM_MULTIPROCESSORS && !device ? OK : INVALID_VALUE;
}

int cuDevicePrimaryCtxSetFlags_v2(int device, unsigned flags) {
  return device || flags > 4 ? INVALID_VALUE : OK;
}

int cuDevicePrimaryCtxRetain(void **made, int device) {
  *made = &context;
  return device ? INVALID_VALUE : OK;
}

int cuCtxSetCurrent(void *given) {
  is_current = given == &context;
  return is_current ? OK : INVALID_VALUE;
}

int cuModuleLoadData(void **loaded, const void *image) {
  *loaded = &module;
  for (int i = 0; i < 4; i++) {
    char entry[40] = ".entry ";
    strcat(strcat(entry, names[i]), "(");
    if (!strstr(image, entry)) return INVALID_VALUE;
  }
  return is_current ? OK : INVALID_VALUE;
}

int cuModuleGetFunction(void **found, void *from, const char *name) {
  for (int i = 0; i < 4; i++)
    if (strcmp(name, names[i]) == 0) {
      *found = &names[i];
      return from == &module ? OK : INVALID_VALUE;
    }
  return INVALID_VALUE;
}

int cuMemAlloc_v2(uint64_t *address, size_t size) {
  *address = (uint64_t)(uintptr_t)malloc(size);
  return *address ? OK : INVALID_VALUE;
}

int cuMemsetD8_v2(uint64_t address, unsigned char value, size_t size) {
  memset((void *)(uintptr_t)address, value, size);
  return OK;
}

int cuMemcpyHtoD_v2(uint64_t address, const void *from, size_t size) {
  memcpy((void *)(uintptr_t)address, from, size);
  return OK;
}

int cuMemcpyDtoH_v2(void *to, uint64_t address, size_t size) {
  memcpy(to, (void *)(uintptr_t)address, size);
  return OK;
}

static void dense(const float *x, const float *w, float *y, unsigned rows, unsigned in,
                  unsigned out) {
  float more = getenv("CUDA_STANDIN_WRONG") ? 1.0f : 0.0f;
  for (unsigned row = 0; row < rows; row++)
    for (unsigned column = 0; column < out; column++) {
      float sum = more;
      for (unsigned k = 0; k < in; k++) sum += x[row * in + k] * w[k * out + column];
      y[row * out + column] = sum > 0 ? sum : 0;
    }
}

static void convolution(const float *x, const float *w, float *y, unsigned side,
                        unsigned channels) {
  unsigned wide = side + 2;
  for (unsigned o = 0; o < channels; o++)
    for (unsigned i = 0; i < side; i++)
      for (unsigned j = 0; j < side; j++) {
        float sum = 0;
        for (unsigned c = 0; c < channels; c++)
          for (unsigned d = 0; d < 9; d++)
            sum += x[(c * wide + i + d / 3) * wide + j + d % 3] *
                   w[(o * channels + c) * 9 + d];
        y[(o * wide + i + 1) * wide + j + 1] = sum > 0 ? sum : 0;
      }
}

int cuLaunchKernel(void *kernel, unsigned x, unsigned y, unsigned z, unsigned threads,
                   unsigned ty, unsigned tz, unsigned shared, void *stream,
                   void **values, void **extra) {
  if (!is_current || !x || z != 1 || threads != 256 || ty != 1 || tz != 1 || shared ||
      stream || extra)
    return INVALID_VALUE;
  long name = (const char **)kernel - names;
  static int is_computed[4];
  /* Layers are equal: the first of a process tells whether they are right. */
  if (name >= 2 && !is_computed[name]) {
    float **given = values[0], **weights = values[1], **found = values[2];
    unsigned first = *(unsigned *)values[3], second = *(unsigned *)values[4];
    if (name == 2) dense(*given, *weights, *found, y, first, second);
    if (name == 3) convolution(*given, *weights, *found, first, second);
    is_computed[name] = 1;
  }
  elapsed_us += 20;
  return OK;
}

int cuCtxSynchronize(void) {
  struct timespec pause = {0, 300 * 1000};
  nanosleep(&pause, NULL);
  return is_current ? OK : INVALID_VALUE;
}

int cuEventCreate(void **event, unsigned flags) {
  *event = malloc(sizeof(double));
  return flags ? INVALID_VALUE : OK;
}

int cuEventRecord(void *event, void *stream) {
  *(double *)event = elapsed_us;
  return stream ? INVALID_VALUE : OK;
}

int cuEventElapsedTime(float *ms, void *begin, void *end) {
  *ms = (float)((*(double *)end - *(double *)begin) / 1e3);
  return OK;
}
