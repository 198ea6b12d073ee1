//! Runs chapters one after the other and reports as cargo's own test harness does. Knows
//! nothing of Odoo or PostgreSQL.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::pair::{Pair, Scene};

/// What a step does.
pub type Run = Box<dyn Fn(&mut Pair) -> Result<()>>;

/// One named test.
pub struct Step {
    name: String,
    run: Run,
}

/// Steps that belong together, and the scene they begin in.
pub struct Chapter {
    name: String,
    begins: Scene,
    leaves: Option<Scene>,
    independent: bool,
    prepare: Option<Run>,
    steps: Vec<Step>,
}

impl Chapter {
    /// A chapter whose steps build on each other: one that fails ends it.
    pub fn new(name: impl Into<String>, begins: Scene) -> Self {
        Self { name: name.into(), begins, leaves: None, independent: false, prepare: None, steps: Vec::new() }
    }
    /// Its steps do not need each other: after one that fails the scene is set again.
    pub fn independent(mut self) -> Self {
        self.independent = true;
        self
    }
    /// What is done whenever the scene is set, before a step.
    pub fn prepared(mut self, run: impl Fn(&mut Pair) -> Result<()> + 'static) -> Self {
        self.prepare = Some(Box::new(run));
        self
    }
    /// The next chapter finds this scene, if all went well.
    pub fn leaves(mut self, scene: Scene) -> Self {
        self.leaves = Some(scene);
        self
    }
    /// Adds a step.
    pub fn step(mut self, name: impl Into<String>, run: impl Fn(&mut Pair) -> Result<()> + 'static) -> Self {
        self.steps.push(Step { name: name.into(), run: Box::new(run) });
        self
    }
}

/// What the command line asks for. Options of cargo's own harness that mean nothing here are ignored.
#[derive(Default)]
struct Wish {
    list: bool,
    keep: bool,
    reuse: bool,
    backwards: bool,
    filters: Vec<String>,
    skips: Vec<String>,
}

impl Wish {
    fn read(arguments: impl Iterator<Item = String>) -> Self {
        let mut wish = Self::default();
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => wish.list = true,
                "--keep" => wish.keep = true,
                "--reuse" => (wish.keep, wish.reuse) = (true, true),
                "--backwards" => wish.backwards = true,
                "--skip" => wish.skips.extend(arguments.next()),
                "--test-threads" | "--format" | "--color" => drop(arguments.next()),
                option if option.starts_with('-') => {}
                filter => wish.filters.push(filter.to_owned()),
            }
        }
        wish
    }

    fn takes(&self, name: &str) -> bool {
        let skipped = self.skips.iter().any(|skip| name.contains(skip.as_str()));
        !skipped && (self.filters.is_empty() || self.filters.iter().any(|filter| name.contains(filter.as_str())))
    }
}

/// How many of what.
#[derive(Default)]
struct Tally {
    passed: usize,
    /// Names, and why in a few words.
    failed: Vec<(String, String)>,
    not_reached: usize,
    filtered: usize,
}

/// Whether a chapter is this process's to play: of several that share `OTR_PAIR_CLAIMS`, a folder, the
/// first that comes to it takes it. From both ends (`--backwards`) they meet where both are done.
fn claims(chapter: &Chapter) -> bool {
    std::env::var_os("OTR_PAIR_CLAIMS")
        .is_none_or(|folder| std::fs::File::create_new(std::path::Path::new(&folder).join(&chapter.name)).is_ok())
}

/// The suite's `main`. `--keep` leaves the machines running for a look around; `--reuse` does
/// that too, and begins with the standby an earlier run kept (quick, but no proof).
pub fn main(mut chapters: Vec<Chapter>) -> ExitCode {
    let wish = Wish::read(std::env::args().skip(1));
    if wish.backwards {
        chapters.reverse();
    }
    if wish.list {
        for chapter in &chapters {
            for step in &chapter.steps {
                println!("pair::{}::{}: test", chapter.name, step.name);
            }
        }
        return ExitCode::SUCCESS;
    }
    let begun = Instant::now();
    let mut pair = match Pair::new(wish.reuse) {
        Ok(pair) => pair,
        Err(why) => {
            eprintln!("the pair suite cannot run here: {why:#}");
            return ExitCode::FAILURE;
        }
    };
    let mut tally = Tally::default();
    println!("\nrunning {} tests", chapters.iter().map(|c| wanted(c, &wish).len()).sum::<usize>());
    for chapter in &chapters {
        play(chapter, &wish, &mut pair, &mut tally);
    }
    if !wish.keep {
        pair.end();
    }
    if !tally.failed.is_empty() {
        println!("\nfailures:");
        tally.failed.iter().for_each(|(name, why)| println!("    {name}: {why}"));
    }
    let verdict = if tally.failed.is_empty() { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {} passed; {} failed; {} ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        tally.passed,
        tally.failed.len(),
        tally.not_reached,
        tally.filtered,
        begun.elapsed().as_secs_f64()
    );
    if tally.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The steps to run. Where steps build on each other, a wanted one needs all before it.
fn wanted<'a>(chapter: &'a Chapter, wish: &Wish) -> Vec<&'a Step> {
    let full = |step: &Step| format!("pair::{}::{}", chapter.name, step.name);
    if chapter.independent {
        return chapter.steps.iter().filter(|step| wish.takes(&full(step))).collect();
    }
    let last = chapter.steps.iter().rposition(|step| wish.takes(&full(step)));
    chapter.steps.iter().take(last.map_or(0, |at| at + 1)).collect()
}

fn set(chapter: &Chapter, pair: &mut Pair) -> Result<()> {
    pair.enter(chapter.begins)?;
    chapter.prepare.as_ref().map_or(Ok(()), |prepare| prepare(pair))
}

fn play(chapter: &Chapter, wish: &Wish, pair: &mut Pair, tally: &mut Tally) {
    let mut steps = wanted(chapter, wish);
    if !steps.is_empty() && !claims(chapter) {
        steps.clear();
    }
    tally.filtered += chapter.steps.len() - steps.len();
    if steps.is_empty() {
        return;
    }
    let all = steps.len() == chapter.steps.len();
    let mut whole = true;
    for (at, step) in steps.iter().enumerate() {
        let name = format!("pair::{}::{}", chapter.name, step.name);
        let begun = Instant::now();
        print!("test {name} ... ");
        let _ = std::io::Write::flush(&mut std::io::stdout());
        pair.otr.forget();
        // The scene's own work is charged to the first step, and told apart from it.
        let set = if at == 0 || (chapter.independent && !whole) { set(chapter, pair) } else { Ok(()) };
        let setting = begun.elapsed().as_secs_f64();
        if at == 0 || !whole {
            pair.otr.forget();
            whole = true;
        }
        match set.and_then(|()| (step.run)(pair)) {
            Ok(()) => {
                tally.passed += 1;
                let scene = if setting > 0.5 { format!(", scene {setting:.1} s") } else { String::new() };
                println!("ok ({:.1} s{scene})", begun.elapsed().as_secs_f64() - setting);
            }
            Err(why) => {
                whole = false;
                pair.left(None);
                println!("FAILED ({:.1} s)", begun.elapsed().as_secs_f64());
                println!("---- {name} ----\n{why:#}\n{}\n{}", pair.otr.told(), pair.lab.journals());
                tally.failed.push((name, format!("{why:#}").chars().take(1000).collect()));
                if !chapter.independent {
                    let left = steps.len() - at - 1;
                    tally.not_reached += left;
                    steps.iter().skip(at + 1).for_each(|s| println!("test pair::{}::{} ... ignored, not reached", chapter.name, s.name));
                    break;
                }
            }
        }
    }
    pair.left(chapter.leaves.filter(|_| whole && (all || chapter.independent)));
}
