"""Gate your own network in your own training loop: python examples/own_training_loop.py"""

import torch
from torch import nn
from torch.nn import functional as F

import filterscope as fs
from filterscope.data import batches, load_dataset

torch.manual_seed(0)
digits = load_dataset("digits")
model = nn.Sequential(
    nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(32, 40, 3, padding=1), nn.BatchNorm2d(40), nn.ReLU(),
    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(40, 10),
)  # fmt: skip
net = fs.GatedClassifier(model, layer="6", num_classes=10, num_filters=40)
weights = torch.optim.Adam(model.parameters(), lr=1e-3)
gate = torch.optim.Adam([net.gate.matrix], lr=0.03)

for epoch in range(12):
    net.train()
    for images, labels, _ in batches(
        digits.train, 64, transform=digits.transform, shuffle=True, epoch=epoch, drop_last=True
    ):
        standard, gated = net.both(images, labels)
        loss = F.cross_entropy(standard, labels) + F.cross_entropy(gated, labels)
        loss = loss + 1e-2 * fs.gate_penalty(net.gate)
        net.zero_grad()
        loss.backward()
        weights.step()
        gate.step()
        net.gate.project_()

net.eval()
images, labels, _ = next(batches(digits.test, 10_000, transform=digits.transform))
with torch.no_grad():
    accuracy = (net(images).argmax(1) == labels).double().mean()
    features = net.features(images)
functional = fs.metrics.functional
matrix = functional.mutual_information_matrix(features, labels, num_classes=10)
floor = functional.mutual_information_floor(features, labels, num_classes=10)
overlap = functional.gate_mi_overlap(matrix, net.gate.matrix)
print(f"accuracy {accuracy:.3f}  n={len(labels)}")
print(f"MIS {functional.mutual_information_score(matrix):.3f}  (chance {floor:.3f}, "
      f"at most {functional.mutual_information_bound(labels):.3f})")  # fmt: skip
print(f"density {net.gate.l1_density():.3f}")
print(f"filters whose class of largest MI is their gate's: {overlap.argmax_agreement:.0%} "
      f"(chance {overlap.argmax_chance:.0%})")  # fmt: skip
