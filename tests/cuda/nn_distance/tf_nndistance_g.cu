#if GOOGLE_CUDA
#define EIGEN_USE_GPU
#include "nearest.cuh"

void NmDistanceKernelLauncher(int b, int n, const float* xyz, int m, const float* xyz2, float* result, int* result_i) {
  NmDistanceKernel<<<dim3(32, 1, 1), BLOCK>>>(b, n, xyz, m, xyz2, result, result_i);
}

#endif
