//! How much memory there is: of the machine, and of the control groups (containers, batch systems) that this process is in.

use crate::context::kibibytes;
use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// Memory in bytes; `None` where the system does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// Held by this process now.
    pub resident: Option<u64>,
    /// What this process can take more without swapping or being ended.
    pub available: Option<u64>,
    /// All there is, swap space included.
    pub total: Option<u64>,
}

/// The memory of this process and of the machine.
pub fn memory() -> Memory {
    let of_machine = |label: &str| kibibytes("/proc/meminfo", label);
    let groups: Vec<Limit> = limits();
    let swap = of_machine("SwapTotal:").unwrap_or(0);
    let least = |machine: Option<u64>, groups: Option<u64>| machine.into_iter().chain(groups).min();
    Memory {
        resident: kibibytes("/proc/self/status", "VmRSS:"),
        available: least(
            of_machine("MemAvailable:"),
            groups.iter().map(|group| group.limit.saturating_sub(group.used)).min(),
        ),
        total: least(of_machine("MemTotal:").map(|bytes| bytes + swap), groups.iter().map(|group| group.limit).min()),
    }
}

/// The limit of a control group, and what its processes use.
#[derive(Debug, PartialEq, Eq)]
struct Limit {
    limit: u64,
    used: u64,
}

/// Limits of this process's control group and of those around it, of either version.
fn limits() -> Vec<Limit> {
    let Ok(groups) = read_to_string("/proc/self/cgroup") else { return Vec::new() };
    groups.lines().flat_map(|line| limits_of(line, Path::new("/sys/fs/cgroup"))).collect()
}

/// Limits for one line of `/proc/self/cgroup`, `number:controllers:path`.
fn limits_of(line: &str, root: &Path) -> Vec<Limit> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { return Vec::new() };
    let (root, limit, used, cache) = if controllers.is_empty() {
        (root.to_owned(), "memory.max", "memory.current", "inactive_file ")
    } else if controllers.split(',').any(|controller| controller == "memory") {
        (root.join("memory"), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ")
    } else {
        return Vec::new();
    };
    let inside: PathBuf = root.join(path.trim_start_matches('/'));
    let around = inside.ancestors().take_while(|folder| folder.starts_with(&root));
    let limit_of = |folder: &Path| {
        let number = |file: &str| read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok();
        // Pages of files that nobody has used lately count as used, but are given up on demand.
        let stat = read_to_string(folder.join("memory.stat")).unwrap_or_default();
        let given_up = stat.lines().find_map(|line| line.strip_prefix(cache)?.trim().parse().ok()).unwrap_or(0);
        Some(Limit { limit: number(limit)?, used: number(used)?.saturating_sub(given_up) })
    };
    around.filter_map(limit_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{create_dir_all, write};

    #[test]
    fn there_is_memory_and_not_more_than_all() {
        let memory = memory();
        if let (Some(resident), Some(available), Some(total)) = (memory.resident, memory.available, memory.total) {
            assert!(resident > 0 && available <= total);
        }
    }

    #[test]
    fn the_limits_around_a_group_count_too() {
        let root = std::env::temp_dir().join(format!("samap-cgroup-{}", std::process::id()));
        let inside = root.join("slice/job");
        create_dir_all(&inside).unwrap();
        for (folder, limit) in [(&inside, "max\n"), (&root.join("slice"), "5000\n")] {
            write(folder.join("memory.max"), limit).unwrap();
            write(folder.join("memory.current"), "3000\n").unwrap();
            write(folder.join("memory.stat"), "anon 1000\ninactive_file 500\n").unwrap();
        }
        assert_eq!(limits_of("0::/slice/job", &root), [Limit { limit: 5000, used: 2500 }]);
        assert_eq!(limits_of("3:cpu,cpuacct:/slice/job", &root), []);
        std::fs::remove_dir_all(&root).unwrap();
    }
}
