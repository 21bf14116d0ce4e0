from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest

from gisearch.config import build, to_plain
from gisearch.data.splits import SplitConfig, split_genotypes
from gisearch.data.synthetic import DemoCell, DemoCellConfig, DemoNetworkConfig, generate_demo_cell
from gisearch.data.synthetic.mechanism import Mechanism, build_mechanism
from gisearch.data.synthetic.metabolism import build_metabolism, metabolic_fitness
from gisearch.data.synthetic.structure import build_structure
from gisearch.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def demo() -> DemoCell:
    return generate_demo_cell(DemoCellConfig())


@pytest.fixture(scope="module")
def mechanism(demo: DemoCell) -> Mechanism:
    assert demo.cell.metabolism is not None
    return build_mechanism(DemoCellConfig(), demo.structure, demo.cell.metabolism, demo.genotypes.padded())


def pearson(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def table_of(*deletions: tuple[int, ...]) -> npt.NDArray[np.int64]:
    return np.array([[*genes, *[-1] * (3 - len(genes))] for genes in deletions], dtype=np.int64)


def test_sizes_are_as_configured(demo: DemoCell) -> None:
    config = DemoCellConfig()
    assert demo.cell.num_genes == 500
    assert list(demo.cell.networks) == ["physical", "regulatory", "coexpression"]
    for name, network in demo.cell.networks.items():
        assert network.num_edges == round(config.networks[name].mean_degree * config.num_genes)
    assert demo.cell.metabolism is not None
    assert len(demo.cell.metabolism.reactions) == config.num_reactions
    assert len(demo.cell.metabolism.metabolites) == config.num_metabolites
    order = demo.genotypes.order
    assert [int((order == size).sum()) for size in (1, 2, 3)] == [480, 3_100, 2_200]
    screened = np.unique(demo.genotypes.padded()[order > 1])
    assert len(screened[screened >= 0]) == config.num_screened


def test_tiny_is_quick_and_every_number_is_overridable() -> None:
    config = build(
        DemoCellConfig,
        {
            "size": "tiny",
            "num_triple": 12,
            "networks": {"one": {"mean_degree": 4.0}, "two": {"mean_degree": 1.0, "directed": True}},
        },
    )
    generate_demo_cell(config)
    start = time.process_time()
    demo = generate_demo_cell(config)
    assert time.process_time() - start < 0.5  # about 0.01 s; the limit leaves room for a busy machine
    assert demo.cell.num_genes == 40
    assert int((demo.genotypes.order == 3).sum()) == 12
    assert {name: network.num_edges for name, network in demo.cell.networks.items()} == {
        "one": 160,
        "two": 40,
    }


def test_configuration_survives_plain_values() -> None:
    for size in ("tiny", "demo", "yeast", "yeast_large"):
        config = build(DemoCellConfig, {"size": size})
        assert build(DemoCellConfig, to_plain(config)) == config


def test_a_size_that_would_change_nothing_is_refused() -> None:
    composed = {**to_plain(DemoCellConfig()), "size": "tiny"}
    message = (
        "^data.cell: size 'tiny' contradicts the numbers, .* of 'demo'; expected .* num_genes 40, or none"
    )
    with pytest.raises(ConfigError, match=message):
        build(DemoCellConfig, composed, "data.cell")
    assert build(DemoCellConfig, {**composed, "num_screened": 300}).size == "tiny"


@pytest.mark.slow
def test_published_yeast_sizes() -> None:
    demo = generate_demo_cell(build(DemoCellConfig, {"size": "yeast"}))
    assert demo.cell.num_genes == 6_607
    # An undirected network has an even number of directed edges: one less than published.
    assert demo.cell.networks["physical"].num_edges == 144_210
    assert demo.cell.networks["regulatory"].num_edges == 16_095
    assert demo.cell.metabolism is not None
    assert (len(demo.cell.metabolism.reactions), len(demo.cell.metabolism.metabolites)) == (4_881, 2_534)
    large = build(DemoCellConfig, {"size": "yeast_large"})
    assert len(large.networks) == 9
    edges = sum(network.mean_degree for network in large.networks.values()) * large.num_genes
    assert edges == pytest.approx(2.4e6, rel=0.01)


def test_same_configuration_same_cell_in_another_process() -> None:
    code = (
        "from gisearch.data.synthetic import DemoCellConfig, generate_demo_cell\n"
        "demo = generate_demo_cell(DemoCellConfig(size='tiny', seed=0))\n"
        "print(demo.cell.digest(), demo.genotypes.digest())"
    )
    elsewhere = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"}
    )
    here = generate_demo_cell(DemoCellConfig(size="tiny", seed=0))
    assert elsewhere.stdout.split() == [here.cell.digest(), here.genotypes.digest()]
    other = generate_demo_cell(DemoCellConfig(size="tiny", seed=1))
    assert other.cell.digest() != here.cell.digest()
    assert other.genotypes.digest() != here.genotypes.digest()


def test_one_number_changed_leaves_the_rest_alone() -> None:
    here = generate_demo_cell(DemoCellConfig(size="tiny"))
    noisy = generate_demo_cell(DemoCellConfig(size="tiny", noise_sd=0.1))
    assert noisy.cell.digest() == here.cell.digest()
    np.testing.assert_array_equal(noisy.true_labels["fitness"], here.true_labels["fitness"])
    assert not np.array_equal(noisy.genotypes.labels["fitness"], here.genotypes.labels["fitness"])


def test_names_look_like_yeast_and_resolve(demo: DemoCell) -> None:
    names = demo.cell.names
    assert all(name[0] == "Y" and name[1] in "ABCDEFGHIJKLMNOP" for name in names.systematic)
    assert all(name[2] in "LR" and name[3:6].isdigit() and name[6] in "WC" for name in names.systematic)
    given = [i for i, name in enumerate(names.standard) if name]
    assert 0.6 < len(given) / len(names) < 0.9
    resolved = names.resolve(names.standard[i] for i in given)
    np.testing.assert_array_equal(resolved.indices, given)


def test_networks_follow_modules_complexes_and_hubs(demo: DemoCell) -> None:
    module, complex_of = demo.structure.module, demo.structure.complex_of
    chance = float((np.bincount(module) / len(module)) @ (np.bincount(module) / len(module)))
    for network in demo.cell.networks.values():
        source, target = network.edges
        assert (module[source] == module[target]).mean() > 3 * chance
    physical = set(map(tuple, demo.cell.networks["physical"].edges.T.tolist()))
    sizes = np.bincount(complex_of[complex_of >= 0])
    assert sizes.min() >= 3
    assert sizes.max() <= 6
    for index in range(len(sizes)):
        members = np.flatnonzero(complex_of == index).tolist()
        assert len(set(module[members])) == 1
        assert all(pair in physical for pair in combinations(members, 2))
    regulatory = demo.cell.networks["regulatory"]
    assert regulatory.directed
    assert set(regulatory.edges[0]) <= set(demo.structure.regulators.tolist())
    degree = np.bincount(demo.cell.networks["physical"].edges[0], minlength=demo.cell.num_genes)
    assert degree.max() > 5 * np.median(degree)
    in_all = np.bincount(np.concatenate([network.edges[0] for network in demo.cell.networks.values()]))
    assert pearson(np.log(in_all), np.log(demo.structure.dosage)) > 0.5


def test_networks_see_different_parts(demo: DemoCell) -> None:
    module = demo.structure.module
    blind = []
    for name in ("physical", "coexpression"):
        source, target = demo.cell.networks[name].edges
        within = np.bincount(module[source][module[source] == module[target]], minlength=8)
        share = within / np.bincount(module[source], minlength=8)
        blind.append({int(k) for k in np.flatnonzero(share < 0.5)})
    assert all(blind)
    assert not blind[0] & blind[1]
    scores = demo.cell.networks["coexpression"].scores
    assert scores is not None
    source, target = demo.cell.networks["coexpression"].edges
    same = module[source] == module[target]
    assert scores[same].mean() > scores[~same].mean() + 0.1
    assert scores.min() > 0
    assert scores.max() <= 1


def test_metabolism_has_every_kind_of_rule_and_signed_stoichiometry(demo: DemoCell) -> None:
    metabolism = demo.cell.metabolism
    assert metabolism is not None
    alternatives = np.bincount(metabolism.complex_reaction, minlength=len(metabolism.reactions))
    size = np.diff(metabolism.complex_offsets)
    assert (alternatives == 0).any()
    assert (alternatives >= 2).sum() > 20
    assert (size >= 2).sum() > 10
    for sign in (-1, 1):
        reached = metabolism.incidence[1][np.sign(metabolism.stoichiometry) == sign]
        assert len(np.unique(reached)) == len(metabolism.reactions)
    assert len(np.unique(metabolism.incidence, axis=1).T) == metabolism.incidence.shape[1]


def test_metabolic_fitness_agrees_with_the_gene_rules(demo: DemoCell) -> None:
    metabolism = demo.cell.metabolism
    assert metabolism is not None
    rng = np.random.default_rng(0)
    costs = rng.uniform(0.05, 0.3, len(metabolism.reactions))
    enzymes = np.unique(metabolism.complex_genes)
    table = rng.choice(enzymes, size=(300, 3))
    expected = [np.prod(1 - costs[metabolism.disabled_reactions(row)]) for row in table]
    np.testing.assert_allclose(metabolic_fitness(metabolism, costs, table), expected)
    assert len({round(value, 6) for value in expected}) > 50


def test_isozymes_are_redundant(mechanism: Mechanism) -> None:
    metabolism = mechanism.metabolism
    alternatives = np.bincount(metabolism.complex_reaction, minlength=len(metabolism.reactions))
    costly = np.flatnonzero((alternatives == 2) & (mechanism.costs > 0.1))
    reaction = costly[0]
    pair = metabolism.complex_genes[
        metabolism.complex_offsets[:-1][np.flatnonzero(metabolism.complex_reaction == reaction)]
    ]
    single = [metabolic_fitness(metabolism, mechanism.costs, table_of((int(gene),)))[0] for gene in pair]
    both = metabolic_fitness(metabolism, mechanism.costs, table_of((int(pair[0]), int(pair[1]))))[0]
    assert both < single[0] * single[1] * (1 - 0.09)


def test_interactions_follow_their_definitions(demo: DemoCell, mechanism: Mechanism) -> None:
    order = demo.genotypes.order
    fitness = lambda *genes: float(mechanism.fitness(table_of(genes))[0][0])  # noqa: E731
    for row in (np.flatnonzero(order == 2)[:5], np.flatnonzero(order == 3)[:5]):
        for index in row:
            genes = demo.genotypes.genes_of(int(index)).tolist()
            expected = float(np.prod([fitness(gene) for gene in genes]))
            if len(genes) == 3:
                for i, j in combinations(genes, 2):
                    (k,) = set(genes) - {i, j}
                    expected += (fitness(i, j) - fitness(i) * fitness(j)) * fitness(k)
            interaction = demo.true_labels["gene_interaction"][index]
            assert interaction == pytest.approx(fitness(*genes) - expected, abs=1e-6)
            assert demo.true_labels["fitness"][index] == pytest.approx(fitness(*genes), abs=1e-6)


def test_scores_do_not_depend_on_the_order_of_genes(demo: DemoCell, mechanism: Mechanism) -> None:
    table = demo.genotypes.padded()[demo.genotypes.order == 3][:50]
    for columns in ([1, 0, 2], [2, 0, 1]):
        for a, b in zip(mechanism.fitness(table), mechanism.fitness(table[:, columns]), strict=True):
            np.testing.assert_allclose(a, b)


def test_three_way_term_is_genuine(demo: DemoCell, mechanism: Mechanism) -> None:
    without = replace(mechanism, triple_scale=(mechanism.triple_scale[0], 0.0))
    table = demo.genotypes.padded()[demo.genotypes.order == 3]
    change = mechanism.fitness(table)[1] - without.fitness(table)[1]
    share = change.var() / mechanism.fitness(table)[1].var()
    assert 0.1 < share < 0.5


def test_labels_are_consistent(demo: DemoCell) -> None:
    labels, true, order = demo.genotypes.labels, demo.true_labels, demo.genotypes.order
    single = order == 1
    for name in ("gene_interaction", "gene_interaction_std", "gene_interaction_p", "strong_negative"):
        np.testing.assert_array_equal(np.isnan(labels[name]), single)
    assert not np.isnan(labels["fitness"]).any()
    assert demo.genotypes.binary == {"strong_negative"}
    scored = ~single
    score = labels["gene_interaction"]
    np.testing.assert_array_equal(labels["strong_negative"][scored], score[scored] < -0.08)
    np.testing.assert_allclose(
        (score - true["gene_interaction"])[scored], (labels["fitness"] - true["fitness"])[scored], atol=1e-6
    )
    z = (labels["fitness"] - true["fitness"]) / labels["fitness_std"]
    assert z.std() == pytest.approx(1, abs=0.05)
    assert np.sqrt((labels["fitness_std"] ** 2).mean()) == pytest.approx(0.03, rel=0.05)
    significant = labels["gene_interaction_p"] < 0.05
    np.testing.assert_array_equal(
        significant[scored], (np.abs(score) > 1.96 * labels["gene_interaction_std"])[scored]
    )


def test_values_look_like_measured_ones(demo: DemoCell) -> None:
    order, score = demo.genotypes.order, demo.true_labels["gene_interaction"]
    fitness = demo.true_labels["fitness"]
    for size in (2, 3):
        assert 0.05 < score[order == size].std() < 0.08
    assert 0.1 < np.nanmean(demo.genotypes.labels["strong_negative"]) < 0.25
    assert 0.95 < np.median(fitness[order == 1]) < 1.01
    assert fitness.min() >= 0
    assert fitness.max() < 1.6


def test_noise_ceiling(demo: DemoCell) -> None:
    rows = np.flatnonzero(demo.genotypes.order > 1)
    ceiling = demo.noise_ceiling("gene_interaction", rows)
    assert 0.9 < ceiling < 0.93
    measured = demo.genotypes.labels["gene_interaction"][rows]
    assert ceiling == pytest.approx(pearson(demo.true_labels["gene_interaction"][rows], measured), abs=1e-6)
    assert demo.noise_ceiling("gene_interaction", np.arange(len(demo.genotypes))) == pytest.approx(ceiling)
    assert demo.noise_ceiling("fitness", rows) > ceiling
    silent = generate_demo_cell(DemoCellConfig(size="tiny", noise_sd=0.0))
    silent_rows = np.flatnonzero(silent.genotypes.order > 1)
    assert silent.noise_ceiling("gene_interaction", silent_rows) == pytest.approx(1)


def test_noise_ceiling_of_what_has_none(demo: DemoCell) -> None:
    with pytest.raises(
        DataError, match=r"no noise ceiling of 'gene_interactions' .*Did you mean 'gene_interaction'"
    ):
        demo.noise_ceiling("gene_interactions", [600, 601])
    with pytest.raises(DataError, match="at least two genotypes with different values, got 0 genotypes"):
        demo.noise_ceiling("gene_interaction", [0, 1])


def test_additive_effects_explain_little_and_modules_much(demo: DemoCell) -> None:
    from sklearn.linear_model import Ridge

    score = demo.genotypes.labels["gene_interaction"]
    split = split_genotypes(demo.genotypes, np.flatnonzero(~np.isnan(score)), SplitConfig(), 0)
    table = demo.genotypes.padded(fill=demo.cell.num_genes)
    genes = np.zeros((len(table), demo.cell.num_genes + 1))
    for column in table.T:
        genes[np.arange(len(table)), column] += 1
    genes = genes[:, :-1]
    modules = genes @ np.eye(8)[demo.structure.module]
    triple = (demo.genotypes.order == 3)[:, None]
    pairs = np.stack([modules[:, i] * modules[:, j] for i in range(8) for j in range(i + 1)], axis=1)
    features = np.hstack([modules, pairs * triple, pairs * ~triple])
    reached = {}
    for name, x in (("additive", genes), ("modules", features)):
        fitted = Ridge(alpha=10.0).fit(x[split.train], score[split.train])
        reached[name] = pearson(fitted.predict(x[split.val]), score[split.val])
    assert reached["additive"] < 0.35
    assert reached["modules"] > 0.75


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_genes": 10}, "data.cell.num_genes: expected greater than or equal to 20, got 10"),
        ({"num_gene": 100}, "unknown key 'num_gene' in data.cell. Did you mean 'num_genes'"),
        ({"size": "small"}, "data.cell.size: expected 'tiny', 'demo', 'yeast' or 'yeast_large', got 'small'"),
        ({"num_modules": 101}, "num_modules must be at most 100 with 500 genes"),
        ({"num_single": 501}, "num_single must be at most 500 with 500 genes"),
        (
            {"num_screened": 60},
            "num_double must be at most 885 with 500 genes, of which 60 screened; got 3100",
        ),
        ({"networks": {"only": {"mean_degree": 2.0}}}, "data.cell.networks: .*at least 2 items"),
        (
            {"networks": {"a": {"mean_degree": 2.0}, "b": {"mean_degree": 200.0}}},
            "networks.b.mean_degree must be at most 125 with 500 genes, got 200",
        ),
    ],
)
def test_bad_configuration(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(DemoCellConfig, values, "data.cell")


def test_extreme_configurations_end() -> None:
    dense = {
        "a": DemoNetworkConfig(mean_degree=2.0, directed=True, noise=1.0),
        "b": DemoNetworkConfig(mean_degree=10.0, noise=0.0, modules_seen=0.1),
    }
    demo = generate_demo_cell(
        DemoCellConfig(size="tiny", networks=dense, num_screened=6, num_double=7, num_triple=10)
    )
    assert [network.num_edges for network in demo.cell.networks.values()] == [80, 400]
    bare = DemoCellConfig(
        size="tiny",
        num_complexes=0,
        num_triple=0,
        num_reactions=1,
        num_metabolites=4,
        rank=1,
        interaction_sd=0.05,
    )
    structure = build_structure(bare)
    assert (structure.complex_of == -1).all()
    assert len(build_metabolism(bare, structure).reactions) == 1
    assert generate_demo_cell(bare).genotypes.order.max() == 2
