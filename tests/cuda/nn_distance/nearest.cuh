#pragma once
#define BLOCK 512
__device__ float squared(const float* p, const float* q) {
  float x = p[0] - q[0], y = p[1] - q[1], z = p[2] - q[2];
  return x * x + y * y + z * z;
}
__global__ static void NmDistanceKernel(int b, int n, const float* xyz, int m, const float* xyz2, float* result,
                                        int* result_i) {
  for (int i = blockIdx.x; i < b; i += gridDim.x)
    for (int j = threadIdx.x; j < n; j += blockDim.x) {
      float best = 0;
      int besti = 0;
      for (int k = 0; k < m; k++) {
        float d = squared(xyz + (i * n + j) * 3, xyz2 + (i * m + k) * 3);
        if (k == 0 || d < best) best = d, besti = k;
      }
      result[i * n + j] = best;
      result_i[i * n + j] = besti;
    }
}
