"""Written for PyTorch, with the habits of its larger training scripts and of textbooks.

`train` is called with `torch` here, and with fastconv in its place; see test_swapped_script.py.
"""

import shutil

import numpy as np
import torch
import torch.backends.cudnn as cudnn
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, random_split


class Pictures(Dataset):
    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return {"image": torch.as_tensor(self.images[i].copy()), "label": int(self.labels[i])}


class LabelSmoothing(nn.Module):
    def __init__(self, smoothing=0.1):
        super().__init__()
        self.smoothing = smoothing

    def forward(self, x, target):
        logprobs = F.log_softmax(x, dim=-1)
        nll = -logprobs.gather(dim=-1, index=target.unsqueeze(1)).squeeze(1)
        return ((1 - self.smoothing) * nll - self.smoothing * logprobs.mean(dim=-1)).mean()


class Averaged:
    """A moving average of the weights."""

    def __init__(self, model, decay):
        self.decay = decay
        self.shadow = {n: p.data.clone() for n, p in model.named_parameters()}

    def update(self, model):
        for n, p in model.named_parameters():
            self.shadow[n] = (1.0 - self.decay) * p.data + self.decay * self.shadow[n]


def accuracy(output, target, topk=(1,)):
    with torch.no_grad():
        _, pred = output.topk(max(topk), 1, True, True)
        correct = pred.t().eq(target.view(1, -1).expand_as(pred.t()))
        return [correct[:k].reshape(-1).float().sum(0, keepdim=True).item() for k in topk]


def confusion(predicted, target, n):
    return torch.bincount(n * target + predicted, minlength=n**2).reshape(n, n)


def network():
    return nn.Sequential(
        nn.LazyConv2d(8, kernel_size=5, padding=2, bias=False),
        nn.LazyBatchNorm2d(),
        nn.ReLU(inplace=True),
        nn.AvgPool2d(kernel_size=2, stride=2),
        nn.LazyConv2d(16, kernel_size=3, stride=2),
        nn.Sigmoid(),
        nn.Flatten(),
        nn.LazyLinear(10),
    )


def train(images, labels, folder, state=None):
    """Weights at first; losses, accuracies and rates of the epochs; weights at last."""
    cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    rank = dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data = Pictures(images, labels)
    part, rest = random_split(data, [32, 8], generator=torch.Generator().manual_seed(0))
    part.indices, rest.indices = range(32), range(32, 40)  # other generators, other orders
    loader = DataLoader(part, batch_size=8, shuffle=False, pin_memory=True, prefetch_factor=None)
    model = network().to(device)
    model(torch.zeros(1, *images.shape[1:]))
    if state is not None:
        model.load_state_dict(state)
    model[1].reset_running_stats()
    first = {k: v.detach().clone() for k, v in model.state_dict().items()}
    decay = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.NAdam(
        [{"params": decay, "weight_decay": 1e-4}, {"params": others}], lr=1e-3, foreach=True
    )
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1e-2, steps_per_epoch=len(loader), epochs=3, three_phase=True
    )
    criterion, averaged = LabelSmoothing().to(device), Averaged(model, 0.9)
    scaler = torch.amp.GradScaler(enabled=False)
    log = []
    for _ in range(3):
        model.train()
        for batch in loader:
            x = batch["image"].to(device, non_blocking=True)
            y = batch["label"].to(device, non_blocking=True)
            mixed = torch.arange(len(x) - 1, -1, -1)
            x[:, :, 2:6, 3:9] = x[mixed, :, 2:6, 3:9]
            with torch.autocast("cpu", enabled=False):
                output = model(x)
                loss = 0.9 * criterion(output, y) + 0.1 * criterion(output, y[mixed])
            optimizer.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
            scaler.step(optimizer)
            scaler.update()
            scheduler.step()
            averaged.update(model)
        model.eval()
        with torch.inference_mode():
            batch = next(iter(DataLoader(rest, batch_size=8)))
            scores = model(batch["image"])
            table = confusion(scores.argmax(axis=1), batch["label"], 10)
            assert table.sum().item() == 8
            top = accuracy(scores, batch["label"], topk=(1, 5))
        log.append([loss.item(), *top, scheduler.get_last_lr()[0]])
        if rank == 0:
            name = f"{folder}/checkpoint.pth.tar"
            parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler}
            torch.save({k: v.state_dict() for k, v in parts.items()}, name)
            shutil.copyfile(name, f"{folder}/model_best.pth.tar")
            for k, saved in torch.load(name, map_location="cpu").items():
                parts[k].load_state_dict(saved)
    last = {k: v.detach().numpy() for k, v in model.state_dict().items()}
    last |= {f"averaged.{k}": np.asarray(v) for k, v in averaged.shadow.items()}
    return first, np.array(log), last
