import torch

# Several test processes on few cores: OpenMP threads that wait for each other spin, and a suite
# of seconds takes minutes.
torch.set_num_threads(1)
