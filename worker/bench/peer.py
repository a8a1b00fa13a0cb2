"""The peer of `make bench-engine`: the same work in plain PyTorch (nn.Module, autograd) and devinterp's estimator.

Reads one request a line (JSON, see `worker/examples/engine/peer.rs`) and answers each with one line: a measurement a checkpoint, and
the seconds that it took. `loader` is how its users run it: a shuffling DataLoader over a TensorDataset. Without it examples
are drawn from tensors, which removes the loader's cost and nothing else.
"""

import json
import os
import sys
import time
import warnings

# The CPU's environment lacks the CUDA libraries, whose functions are never called.
sys.setdlopenflags(os.RTLD_LAZY)
warnings.filterwarnings("ignore")

import torch  # noqa: E402
from devinterp.optim.sgld import SGLD  # noqa: E402
from devinterp.slt.sampler import estimate_learning_coeff_with_summary  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn.functional import one_hot  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402


class Quadratic(nn.Module):
    def __init__(self, p, width, weights):
        super().__init__()
        self.first = nn.Linear(2 * p, width, bias=False)
        self.second = nn.Linear(width, p, bias=False)
        w, vt = weights.split([2 * p * width, p * width])
        with torch.no_grad():
            self.first.weight.copy_(w.view(2 * p, width).T)
            self.second.weight.copy_(vt.view(width, p).T)

    def forward(self, x):
        return self.second(self.first(x) ** 2)


class Direct(DataLoader):
    """Batches by indexing tensors: the estimator insists on a DataLoader, whose machinery this leaves unused."""

    def __init__(self, x, y, batch_size):
        super().__init__(TensorDataset(x, y), batch_size=batch_size)
        self.x, self.y = x, y

    def __iter__(self):
        for _ in range(len(self)):
            if self.batch_size == len(self.x):
                yield self.x, self.y
            else:
                index = torch.randperm(len(self.x), device=self.x.device)[: self.batch_size]
                yield self.x[index], self.y[index]


def batches(loader):
    while True:
        yield from loader


class Squared:
    """½·Σ residual²/n, where the centred loss subtracts from the residuals their mean over the examples."""

    def __init__(self, centred):
        self.centred = centred

    def __call__(self, model, data):
        x, y = data
        residual = y - model(x)
        if self.centred:
            residual = residual - residual.mean(0)
        return 0.5 * (residual**2).sum() / len(x)


def tensors(examples, p, device):
    pairs = torch.tensor(examples["pairs"], dtype=torch.long).view(-1, 2)
    x = torch.cat([one_hot(pairs[:, 0], p), one_hot(pairs[:, 1], p)], 1).float()
    classes = torch.tensor(examples["classes"], dtype=torch.long)
    return x.to(device), one_hot(classes, p).float().to(device)


def measure(model, loss, train, validation):
    with torch.no_grad():
        record = {}
        for name, (x, y) in [("train", train), ("val", validation)]:
            record[name + "_loss"] = loss(model, (x, y)).item()
            record[name + "_accuracy"] = (model(x).argmax(1) == y.argmax(1)).float().mean().item()
        return record


def optimizer(settings, parameters):
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings["optimizer"]]
    return kind(parameters, lr=settings["learning_rate"], betas=settings["betas"], weight_decay=settings["weight_decay"])


def run(request):
    p, device = request["modulus"], request["device"]
    torch.set_num_threads(request["threads"])
    train, validation = tensors(request["train_set"], p, device), tensors(request["validation_set"], p, device)
    model = Quadratic(p, request["width"], torch.tensor(request["weights"])).to(device)
    loss = Squared(request["loss"] == "centred_mse")
    settings, sampler = request["train"], request["sampler"]

    def loader(size):
        size = size or len(train[0])
        if request["loader"]:
            return DataLoader(TensorDataset(*train), batch_size=size, shuffle=True)
        return Direct(*train, size)

    steps = optimizer(settings, model.parameters())
    stream = batches(loader(settings["batch_size"]))
    records = []
    wall, processor = time.perf_counter(), time.process_time()
    for checkpoint in range(settings["checkpoints"]):
        if checkpoint or not settings["from_start"]:
            for _ in range(settings["every"]):
                steps.zero_grad()
                loss(model, next(stream)).backward()
                steps.step()
        record = measure(model, loss, train, validation)
        estimate = estimate_learning_coeff_with_summary(
            model,
            loader(sampler["batch_size"]),
            evaluate=loss,
            sampling_method=SGLD,
            optimizer_kwargs={"lr": sampler["step_size"], "localization": sampler["localization"], "nbeta": sampler["nbeta"]},
            num_draws=sampler["draws"],
            num_chains=sampler["chains"],
            num_burnin_steps=sampler["burn_in"],
            init_loss=record["train_loss"],
            device=device,
            verbose=False,
        )
        records.append({**record, "llc": float(estimate["llc/mean"])})
    if device != "cpu":
        torch.cuda.synchronize()
    return {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor, "records": records}


print(json.dumps({"torch": torch.__version__}), flush=True)
for line in sys.stdin:
    print(json.dumps(run(json.loads(line))), flush=True)
