"""The best plan by trying every multiset of bin fillings: slow, plain, independent.

A filling is any number of copies of any options whose fixed sizes fit. For every
multiset of fillings one linear program, with one variable per copy and one row per
bin, says what can be served: no aggregation, no maximality, no dominance.
"""

from itertools import combinations_with_replacement, product

from ortools.linear_solver import pywraplp

from gpupack.packing.capacity.model.capacity_problem import Goal


def best_value(problem, goal, *, max_bins):
    """Return the best value, None where there is no plan with so many bins."""
    fillings = [
        (bin_type, filling)
        for bin_type in range(len(problem.bin_types))
        for filling in _fillings(problem, bin_type)
    ]
    best = None
    for num_bins in range(max_bins + 1):
        for bins in combinations_with_replacement(fillings, num_bins):
            if not _within_limits(problem, bins) or not _has_copies(problem, bins):
                continue
            if goal.is_in_full:
                prices = problem.prices(goal)
                cost = sum(prices[one] for one, _ in bins)
                if (best is None or cost < best) and _serve(
                    problem, bins, goal
                ) is not None:
                    best = cost
                continue
            value = _serve(problem, bins, goal)
            if value is not None and (best is None or value > best):
                best = value
    return best


def _fillings(problem, bin_type):
    here = [i for i, one in enumerate(problem.options) if one.bin_type == bin_type]
    capacity = problem.bin_types[bin_type].capacity
    ranges = []
    for index in here:
        option = problem.options[index]
        job = problem.jobs[option.job]
        most = job.copies
        if job.demand:
            most = max(most, -(-job.demand // option.rate))
        ranges.append(range(most + 1))
    for counts in product(*ranges):
        totals = [
            sum(
                problem.options[index].fixed[d] * count
                for index, count in zip(here, counts, strict=True)
            )
            for d in range(len(capacity))
        ]
        filling = tuple((i, n) for i, n in zip(here, counts, strict=True) if n)
        if (
            filling
            and all(t <= c for t, c in zip(totals, capacity, strict=True))
            and (problem.rule is None or problem.rule(bin_type, filling))
        ):
            yield filling


def _within_limits(problem, bins):
    cost = sum(problem.bin_types[one].cost for one, _ in bins)
    return (problem.budget is None or cost <= problem.budget) and all(
        bin_type.count is None or sum(one == index for one, _ in bins) <= bin_type.count
        for index, bin_type in enumerate(problem.bin_types)
    )


def _has_copies(problem, bins):
    copies = [0] * len(problem.jobs)
    for _, filling in bins:
        for option, count in filling:
            copies[problem.options[option].job] += count
    for job, count in zip(problem.jobs, copies, strict=True):
        if job.is_whole and count > job.copies:
            return False
        if not job.is_optional and count < job.copies:
            return False
        # With a demand, an optional job is left out or has all its copies.
        if not job.is_whole and 0 < count < job.copies:
            return False
        if job.max_copies is not None and count > job.max_copies:
            return False
    return True


def _serve(problem, bins, goal):
    """Return the best service or share of these bins, None where they do not do."""
    lp = pywraplp.Solver.CreateSolver("GLOP")
    served = [[] for _ in problem.jobs]
    whole = 0.0
    for bin_type, filling in bins:
        capacity = problem.bin_types[bin_type].capacity
        rows = [[] for _ in capacity]
        fixed = [0] * len(capacity)
        for index, count in filling:
            option = problem.options[index]
            for d, size in enumerate(option.fixed):
                fixed[d] += size * count
            if problem.jobs[option.job].is_whole:
                whole += problem.jobs[option.job].weight * option.rate * count
                continue
            for _ in range(count):
                load = lp.NumVar(0, 1, "")
                served[option.job].append(option.rate * load)
                for d, size in enumerate(option.proportional):
                    rows[d].append(size * load)
        for row, most, taken in zip(rows, capacity, fixed, strict=True):
            if row:
                lp.Add(lp.Sum(row) <= most - taken)
    smallest = lp.NumVar(0, 1, "")
    total = []
    for job, terms in zip(problem.jobs, served, strict=True):
        if not job.demand:
            continue
        service = lp.Sum(terms) if terms else lp.NumVar(0, 0, "") + 0.0
        lp.Add(service <= job.demand)
        total.append(job.weight * service)
        if job.is_optional:
            continue
        if goal.is_in_full:
            lp.Add(service >= job.demand)
        if goal is Goal.MAX_MIN_SHARE:
            lp.Add(service >= smallest * job.demand)
    if goal is Goal.MAX_MIN_SHARE:
        lp.Maximize(smallest)
    else:
        lp.Maximize(lp.Sum(total) if total else smallest * 0.0)
    if lp.Solve() != pywraplp.Solver.OPTIMAL:
        return None
    value = lp.Objective().Value()
    return value + whole if goal is Goal.MAX_SERVICE else value
